#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets: corpus/gguf/, small files that reach every branch.

Needs nothing but Python. Text targets bring their seeds as plain files beside these.
"""
import pathlib
import struct

# number: (values, bytes) of a block
TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136), 30: (1, 2),
    39: (32, 17),
}
U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}


def text(value):
    raw = value.encode("utf-8") if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind, value):
    return text(value) if kind == TEXT else struct.pack("<" + PACK[kind], value)


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def array(key, kind, values):
    elements = b"".join(scalar(kind, value) for value in values)
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + elements


def tensor_file(entries, tensors, version=3, alignment=32):
    """tensors: (name, extents, type)"""
    infos, data = b"", b""
    for name, extents, kind in tensors:
        infos += text(name) + struct.pack(f"<I{len(extents)}Q", len(extents), *extents)
        infos += struct.pack("<IQ", kind, len(data))
        count = 1
        for extent in extents:
            count *= extent
        values, size = TYPES[kind]
        raw = bytes((i * 37 + kind) % 119 for i in range(count // values * size))
        data += raw + bytes(-len(raw) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)) + b"".join(entries) + infos
    return head + bytes(-len(head) % alignment) + data


def gguf_seeds():
    yield "empty-v3", tensor_file([], [])
    yield "empty-v2", tensor_file([], [], version=2)
    scalars = [entry(f"key.{kind}", kind, 1) for kind in PACK]
    yield "scalars", tensor_file(scalars + [entry("text", TEXT, "a text")], [])
    arrays = [array(f"array.{kind}", kind, [0, 1]) for kind in PACK]
    yield "arrays", tensor_file(arrays + [array("texts", TEXT, ["a", "", b"\xff\0"]), array("none", U32, [])], [])
    yield "aligned", tensor_file([entry("general.alignment", U32, 64)],
                                 [("a", [3], 0), ("b", [2, 2, 2, 2], 1)], alignment=64)
    for kind, (values, _) in TYPES.items():
        yield f"type-{kind}", tensor_file([], [("t", [values], kind)])
    words = ["<unk>", "<s>", "</s>", "a", "b", "ab", "\u0120a"]
    yield "model", tensor_file(
        [entry("general.architecture", TEXT, "llama"), entry("llama.block_count", U32, 1),
         entry("llama.rope.freq_base", F32, 10000.0), entry("tokenizer.ggml.add_bos_token", BOOL, True),
         array("tokenizer.ggml.tokens", TEXT, words), array("tokenizer.ggml.scores", F32, [0.0] * len(words)),
         array("tokenizer.ggml.token_type", I32, [3, 3, 3, 1, 1, 1, 1]), array("tokenizer.ggml.merges", TEXT, ["a b"])],
        [("token_embd.weight", [32, 7], 3), ("output_norm.weight", [32], 0)])
    small = tensor_file([entry("k", U8, 1)], [("t", [1], 0)])
    yield "big-endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "version-1", b"GGUF" + struct.pack("<III", 1, 0, 0)
    yield "claims-2-to-60", b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60) + bytes(13)
    yield "truncated", small[:-8]


def main():
    folder = pathlib.Path(__file__).with_name("corpus") / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in gguf_seeds():
        (folder / f"{name}").write_bytes(data)


if __name__ == "__main__":
    main()
