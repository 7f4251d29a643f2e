"""Writes a GGUF file of a known shape with random weights; run by compare.py.

    random_model.py SHAPE PATH     needs numpy and gguf from PyPI

Speed does not depend on the values, so every engine can be timed at the size of a model without
having the model. Layers are Q4_0 and the tied embedding is Q6_K, as llama.cpp's quantizer has them.
The tokenizer is byte-level BPE: the 256 bytes, two merges, and names that no text contains.
"""

import sys

import gguf
import numpy as np

TYPES = gguf.GGMLQuantizationType
SHAPES = {
    "llama-3.2-1b": {"layers": 16, "hidden": 2048, "ffn": 8192, "q_heads": 32, "kv_heads": 8,
                     "head_dim": 64, "vocab": 128256, "context": 131072, "rope_base": 500000.0},
}


def byte_symbols():
    """The printable stand-ins that byte-level BPE uses for the 256 bytes."""
    kept = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


def scales(rng, deviation, count):
    """`count` f16 numbers near `deviation`, as bytes of shape (count, 2)."""
    values = deviation * rng.uniform(0.8, 1.2, (count, 1))
    return values.astype("<f2").view(np.uint8)


def q4_0(rng, rows, columns, deviation):
    """Blocks of 32 values: an f16 scale, then codes; a value is scale * (code - 8)."""
    blocks = rows * columns // 32
    codes = rng.integers(0, 256, (blocks, 16), np.uint8)
    return np.hstack([scales(rng, deviation / 4.61, blocks), codes]).reshape(rows, -1)


def q6_k(rng, rows, columns, deviation):
    """Blocks of 256 values: codes of 4 + 2 bits, 16 int8 scales, an f16 scale of the scales."""
    blocks = rows * columns // 256
    codes = rng.integers(0, 256, (blocks, 192), np.uint8)
    inner = rng.integers(24, 41, (blocks, 16), np.uint8)
    outer = scales(rng, deviation / (18.5 * 32.4), blocks)
    return np.hstack([codes, inner, outer]).reshape(rows, -1)


def tensors(rng, shape):
    """Name, stored values and type of each tensor; the norms are ones."""
    hidden, ffn = shape["hidden"], shape["ffn"]
    q_width, kv_width = (shape[heads] * shape["head_dim"] for heads in ("q_heads", "kv_heads"))
    matrices = {"attn_q": (q_width, hidden), "attn_k": (kv_width, hidden),
                "attn_v": (kv_width, hidden), "attn_output": (hidden, q_width),
                "ffn_gate": (ffn, hidden), "ffn_up": (ffn, hidden), "ffn_down": (hidden, ffn)}
    yield "token_embd.weight", q6_k(rng, shape["vocab"], hidden, 0.03), TYPES.Q6_K
    yield "output_norm.weight", np.ones(hidden, np.float32), TYPES.F32
    for layer in range(shape["layers"]):
        for norm in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{norm}.weight", np.ones(hidden, np.float32), TYPES.F32
        for name, (rows, columns) in matrices.items():
            values = q4_0(rng, rows, columns, columns ** -0.5)
            yield f"blk.{layer}.{name}.weight", values, TYPES.Q4_0


def add_metadata(writer, name, shape):
    writer.add_name(f"random {name}")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["hidden"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["q_heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_rope_dimension_count(shape["head_dim"])
    writer.add_rope_freq_base(shape["rope_base"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape["vocab"])
    tokens = byte_symbols() + ["th", "the"]
    normal = len(tokens)
    tokens += [f"<|unused {index}|>" for index in range(shape["vocab"] - normal - 2)]
    tokens += ["<|begin_of_text|>", "<|end_of_text|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * normal
                           + [gguf.TokenType.CONTROL] * (len(tokens) - normal))
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)


def main():
    name, path = sys.argv[1:]
    shape = SHAPES[name]
    writer = gguf.GGUFWriter(path, "llama")
    add_metadata(writer, name, shape)
    for tensor, values, kind in tensors(np.random.default_rng(1), shape):
        writer.add_tensor(tensor, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
