#!/usr/bin/env python3
"""Writes tokenizers/: small vocabularies and the tokens that other implementations give.

    make_tokenizer_golden.py --model SmolLM2.gguf --books FOLDER

Byte-level families are compared with Hugging Face `tokenizers`, set up as the families' own
tokenizer.json files are; SentencePiece vocabularies with `sentencepiece`. Special tokens are text on
both sides. Texts that are not valid UTF-8, which those libraries do not take, are cut: valid
stretches are tokenized by themselves, broken ones byte by byte through the byte alphabet and the
merges (or byte tokens).

Needs: pip install tokenizers sentencepiece protobuf gguf
"""

import argparse
import io
import json
import pathlib
import struct

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "tokenizers"
BOOKS = ("moby-dick.txt", "sherlock-holmes.txt")
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
# The cased letters of deepseek-llm's pre-tokenizer: first and last code points.
CASED = [
    0x41, 0x5A, 0x61, 0x7A, 0xB5, 0xB5, 0xC0, 0xD6, 0xD8, 0xF6, 0xF8, 0x1BA, 0x1BC, 0x1BF, 0x1C4,
    0x293, 0x295, 0x2AF, 0x370, 0x373, 0x376, 0x377, 0x37B, 0x37D, 0x37F, 0x37F, 0x386, 0x386,
    0x388, 0x38A, 0x38C, 0x38C, 0x38E, 0x3A1, 0x3A3, 0x3F5, 0x3F7, 0x481, 0x48A, 0x52F, 0x531,
    0x556, 0x10A0, 0x10C5, 0x13A0, 0x13F5, 0x13F8, 0x13FD, 0x1C90, 0x1CBA, 0x1CBD, 0x1CBF, 0x1D00,
    0x1D2B, 0x1D6B, 0x1D77, 0x1D79, 0x1D9A, 0x1E00, 0x1F15, 0x1F18, 0x1F1D, 0x1F20, 0x1F45, 0x1F48,
    0x1F4D, 0x1F50, 0x1F57, 0x1F59, 0x1F59, 0x1F5B, 0x1F5B, 0x1F5D, 0x1F5D, 0x1F5F, 0x1F7D, 0x1F80,
    0x1FB4, 0x1FB6, 0x1FBC, 0x1FBE, 0x1FBE, 0x1FC2, 0x1FC4, 0x1FC6, 0x1FCC, 0x1FD0, 0x1FD3, 0x1FD6,
    0x1FDB, 0x1FE0, 0x1FEC, 0x1FF2, 0x1FF4, 0x1FF6, 0x1FFC, 0x2102, 0x2102, 0x2107, 0x2107, 0x210A,
    0x2113, 0x2115, 0x2115, 0x2119, 0x211D, 0x2124, 0x2124, 0x2126, 0x2126, 0x2128, 0x2128, 0x212A,
    0x212D, 0x212F, 0x2134, 0x2139, 0x2139, 0x213C, 0x213F, 0x2145, 0x2149, 0x214E, 0x214E, 0x2183,
    0x2184, 0x2C00, 0x2C7B, 0x2C7E, 0x2CE4, 0x2CEB, 0x2CEE, 0x2CF2, 0x2CF3, 0xA640, 0xA66D, 0xA680,
    0xA69B, 0xA722, 0xA76F, 0xA771, 0xA787, 0xA78B, 0xA78E, 0xAB70, 0xABBF, 0xFB00, 0xFB06, 0xFB13,
    0xFB17, 0xFF21, 0xFF3A, 0xFF41, 0xFF5A, 0x10400, 0x1044F, 0x104B0, 0x104D3, 0x104D8, 0x104FB,
    0x10C80, 0x10CB2, 0x10CC0, 0x10CF2, 0x118A0, 0x118DF, 0x1E900, 0x1E943,
]
CONTROL, USER_DEFINED, NORMAL, UNKNOWN, BYTE = 3, 4, 1, 2, 6


def split(regex):
    return pre_tokenizers.Split(Regex(regex), "isolated")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def pre_tokenizer(name):
    digits = pre_tokenizers.Digits(individual_digits=True)
    cased = "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(CASED[::2], CASED[1::2]))
    return {
        "smollm": lambda: pre_tokenizers.Sequence([digits, byte_level(True)]),
        "gpt-2": lambda: byte_level(True),
        "llama-bpe": lambda: pre_tokenizers.Sequence(
            [split(WORDS % r"\p{N}{1,3}"), byte_level(False)]),
        "qwen2": lambda: pre_tokenizers.Sequence([split(WORDS % r"\p{N}"), byte_level(False)]),
        "deepseek-llm": lambda: pre_tokenizers.Sequence([
            split("[\r\n]"), split(rf"\s?[{cased}]+"),
            split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
            split(r"\s+$"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), digits,
            byte_level(False)]),
        "deepseek-coder": lambda: pre_tokenizers.Sequence([
            split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
            split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), digits, byte_level(False)]),
    }[name]()


def byte_alphabet():
    """Of each byte, the character that stands for it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


ALPHABET = byte_alphabet()


def stretches(data):
    """(is_valid, bytes) of the longest stretches of valid and of broken UTF-8."""
    out = []

    def add(valid, part):
        if part and out and out[-1][0] == valid:
            out[-1] = (valid, out[-1][1] + part)
        elif part:
            out.append((valid, part))

    while data:
        try:
            data.decode("utf-8")
            add(True, data)
            break
        except UnicodeDecodeError as error:
            add(True, data[:error.start])
            add(False, data[error.start:error.end])
            data = data[error.end:]
    return out


class HuggingFace:
    def __init__(self, tokens, types, merges, pre, special_names=()):
        vocab = {t: i for i, t in enumerate(tokens)}
        self.tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=pre == "llama-bpe"))
        self.tokenizer.pre_tokenizer = pre_tokenizer(pre)
        if pre == "qwen2":
            self.tokenizer.normalizer = normalizers.NFC()
        self.tokenizer.add_special_tokens(
            [AddedToken(t, special=True, normalized=False) for t, y in zip(tokens, types)
             if y == CONTROL])
        self.tokenizer.add_tokens(
            [AddedToken(t, special=False, normalized=False) for t, y in zip(tokens, types)
             if y == USER_DEFINED])
        self.tokenizer.encode_special_tokens = True

    def encode(self, data):
        ids = []
        for valid, part in stretches(data):
            if valid:
                ids += self.tokenizer.encode(part.decode("utf-8"), add_special_tokens=False).ids
            else:
                word = "".join(ALPHABET[b] for b in part)
                ids += [token.id for token in self.tokenizer.model.tokenize(word)]
        return ids

    def parse(self, text):
        self.tokenizer.encode_special_tokens = False
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        self.tokenizer.encode_special_tokens = True
        return ids


class SentencePiece:
    def __init__(self, model, adds_space):
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        without_prefix = sentencepiece_model_pb2.ModelProto.FromString(model)
        without_prefix.normalizer_spec.add_dummy_prefix = False
        self.plain = sentencepiece.SentencePieceProcessor(
            model_proto=without_prefix.SerializeToString())
        self.adds_space = adds_space

    def encode(self, data):
        whole = stretches(data)
        if len(whole) == 1 and whole[0][0] and self.adds_space:
            return self.processor.encode(data.decode("utf-8"))
        ids, first = [], self.adds_space and bool(data)
        for valid, part in whole:
            if valid:
                ids += self.plain.encode((" " if first else "") + part.decode("utf-8"))
            else:
                ids += self.plain.encode(" ") if first else []
                ids += [self.plain.piece_to_id(f"<0x{byte:02X}>") for byte in part]
            first = False
        return ids


def write_gguf(path, model, pre, tokens, types, merges=None, scores=None, **ids):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    if scores:
        writer.add_token_scores(scores)
    writer.add_token_types(types)
    if merges:
        writer.add_token_merges([f"{a} {b}" for a, b in merges])
    for name, value in ids.items():
        getattr(writer, f"add_{name}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert path.stat().st_size < 60000, (path, path.stat().st_size)


def train_byte_level(pre, corpus, size):
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(pre)
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    types = [CONTROL] * len(specials) + [NORMAL] * (len(tokens) - len(specials))
    # Words without merges: only a pre-tokenizer that keeps whole tokens can give them.
    tokens += ["\u0120extraordinary", "<tool>"]
    types += [NORMAL, USER_DEFINED]
    return tokens, types, [tuple(merge) for merge in model["merges"]]


def train_sentencepiece(corpus, size, adds_space):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, vocab_size=size, model_type="bpe",
        byte_fallback=True, character_coverage=0.99, normalization_rule_name="identity",
        add_dummy_prefix=adds_space, remove_extra_whitespaces=False, split_digits=True,
        allow_whitespace_only_pieces=True, user_defined_symbols=["<tool>"], minloglevel=2)
    return model.getvalue()


def fnv(ids):
    """FNV-1a, 64 bits, over the ids as little-endian 32-bit numbers."""
    value = 0xCBF29CE484222325
    for byte in b"".join(struct.pack("<i", i) for i in ids):
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def case(name, encoder, nasty, books, gguf_name, parse=()):
    print(name)
    entry = {
        "name": name,
        "gguf": gguf_name,  # null: the demo model
        "nasty": [encoder.encode(data) for data in nasty],
        "parsed": [{"text": text, "tokens": encoder.parse(text)} for text in parse],
        "books": {},
    }
    for book, data in books.items():
        ids = encoder.encode(data)
        entry["books"][book] = {"tokens": len(ids), "fnv1a": fnv(ids)}
    return entry


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--books", required=True, type=pathlib.Path)
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    nasty = [entry["text"].encode() if "text" in entry else bytes.fromhex(entry["bytes"])
             for entry in json.loads((HERE / "nasty.json").read_text())]
    books = {name: (options.books / name).read_bytes() for name in BOOKS}
    story = (HERE.parent.parent / "examples" / "a-case-of-identity.txt").read_text()
    # Some of the nasty texts too, so that there are merges in many scripts.
    corpus = story.splitlines(keepends=True) + [
        data.decode() for data in nasty if len(stretches(data)) == 1 and stretches(data)[0][0]] * 3
    parse = ["<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>",
             " <|im_end|> a<|im_end|>  b<|im_end||>", "a <|im_start|><|im_start|>  <|endoftext|> z"]
    cases = []

    reader = gguf.GGUFReader(options.model)
    fields = {key: field.contents() for key, field in reader.fields.items()
              if key.startswith("tokenizer.ggml.")}
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    cases.append(case("smollm2", HuggingFace(
        fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"], merges,
        fields["tokenizer.ggml.pre"]), nasty, books, None, parse))

    for pre in ("smollm", "gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder"):
        tokens, types, merges = train_byte_level(pre, corpus, 1000)
        write_gguf(OUT / f"{pre}.gguf", "gpt2", pre, tokens, types, merges, bos_token_id=1,
                   eos_token_id=2)
        cases.append(case(pre, HuggingFace(tokens, types, merges, pre), nasty, books,
                          f"{pre}.gguf", parse))

    lines = [line.rstrip("\n") for line in corpus if line.strip()]
    for name, adds_space in (("llama-spm", True), ("llama-spm-no-prefix", False)):
        model = train_sentencepiece(lines, 900, adds_space)
        encoder = SentencePiece(model, adds_space)
        pieces = encoder.processor
        tokens = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]
        scores = [pieces.get_score(i) for i in range(len(tokens))]
        types = [UNKNOWN if pieces.is_unknown(i) else CONTROL if pieces.is_control(i) else
                 BYTE if pieces.is_byte(i) else USER_DEFINED if tokens[i] == "<tool>" else NORMAL
                 for i in range(len(tokens))]
        write_gguf(OUT / f"{name}.gguf", "llama", None, tokens, types, scores=scores,
                   bos_token_id=1, eos_token_id=2, unk_token_id=0, add_space_prefix=adds_space)
        cases.append(case(name, encoder, nasty, books, f"{name}.gguf"))

    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
    (OUT / "expected.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
