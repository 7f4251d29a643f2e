#!/usr/bin/env python3
"""Writes hf_tokenizers/: small tokenizer.json files set up as those of the families are, and the ids
and texts that Hugging Face `tokenizers` gives for them.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install tokenizers==0.23.3
    /tmp/golden/bin/python tests/golden/make_hf_tokenizer_golden.py

expected.json: by file the ids of the valid texts of nasty.json and of texts with special tokens, and
hashes over the ids and decoded texts of seeded random strings, which the test makes again.
"""

import json
import pathlib

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

from random_texts import ALPHABET, RANDOM_STRINGS, fnv, nasty_texts, random_strings

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "hf_tokenizers"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|" \
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s|" \
        r"%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" \
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|" \
    r"\s*[\r\n]|\s+(?!\S)|\s+"
TEKKEN = CASED % ("", "", r"\p{N}")
O200K = CASED % (CONTRACTIONS + "?", CONTRACTIONS + "?", r"\p{N}{1,3}")
DEEPSEEK = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|""" \
    r""" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
SIGN = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)


def cut(*stages):
    return pre_tokenizers.Sequence([*stages, byte_level()])


def bos(token, id):
    return processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A $B",
                                         special_tokens=[(token, id)])


# name: normalizer, pre-tokenizer, ignore_merges
BYTE_LEVEL = {
    "gpt2": (None, byte_level(True), False),
    "smollm2": (None, pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), byte_level(True)]), False),
    "llama3": (None, cut(split(LLAMA3)), True),
    "qwen2": (normalizers.NFC(), cut(split(QWEN2)), False),
    "qwen3.5": (normalizers.NFC(), cut(split(QWEN35)), False),
    "tekken": (None, cut(split(TEKKEN)), True),
    "cl100k": (None, cut(split(CL100K, "removed", True)), False),
    "o200k": (None, cut(split(O200K, "removed", True)), False),
    "deepseek3": (normalizers.Sequence([]), cut(
        split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
        split(DEEPSEEK)), False),
}
PREPEND = normalizers.Sequence([normalizers.Prepend(SIGN), normalizers.Replace(" ", SIGN)])
STRIP = [decoders.Replace(SIGN, " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
# name: normalizer, pre-tokenizer, decoders
CHARACTERS = {
    "llama2-old": (PREPEND, None, STRIP),
    "llama2-new": (None, pre_tokenizers.Metaspace(SIGN, "first", False), STRIP),
    "metaspace": (None, pre_tokenizers.Metaspace(SIGN, "always", True), STRIP),
    "gemma": (normalizers.Replace(" ", SIGN), pre_tokenizers.Split(" ", "merged_with_previous"),
              STRIP[:3]),
}


def corpus():
    story = (HERE.parent.parent / "examples" / "a-case-of-identity.txt").read_text()
    return story.splitlines(keepends=True) + nasty_texts() * 3


def trained(normalizer, pre_tokenizer, size, alphabet):
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=alphabet))
    model = json.loads(tokenizer.to_str())["model"]
    pieces = [piece for piece, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    return pieces, [tuple(merge) for merge in model["merges"]]


def make_byte_level(name):
    normalizer, pre_tokenizer, ignore_merges = BYTE_LEVEL[name]
    pieces, merges = trained(normalizer, pre_tokenizer, 520, pre_tokenizers.ByteLevel.alphabet())
    # Words without merges: only ignore_merges gives them.
    pieces += ["\u0120extraordinary", "<|bos|>"]
    tokenizer = Tokenizer(models.BPE({piece: id for id, piece in enumerate(pieces)}, merges,
                                     ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    post = processors.ByteLevel(trim_offsets=False)
    tokenizer.post_processor = processors.Sequence(
        [post, bos("<|bos|>", len(pieces) - 1)]) if ignore_merges else post
    tokenizer.add_special_tokens([AddedToken("<|bos|>", special=True, normalized=False),
                                  AddedToken("<|end|>", special=True, normalized=False,
                                             lstrip=True, rstrip=True)])
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False),
                          AddedToken("[word]", special=False, normalized=False, single_word=True),
                          AddedToken("<left>", special=False, normalized=False, lstrip=True)])
    return tokenizer


def make_characters(name):
    normalizer, pre_tokenizer, decoder = CHARACTERS[name]
    pieces, merges = trained(
        normalizers.Replace(" ", SIGN), pre_tokenizers.Metaspace(SIGN, "never", True), 400,
        [SIGN])
    kept = [piece for piece in pieces if len(piece) > 1 or ord(piece) < 0x500 or piece == SIGN]
    merges = [pair for pair in merges if pair[0] + pair[1] in kept
              and all(part in kept for part in pair)]
    pieces = ["<unk>", "<s>", "</s>"] + (BYTES if name != "metaspace" else []) + kept
    if name == "gemma":  # runs of spaces are tokens
        pieces += [SIGN * 2, SIGN * 3, "\n\n"]
        merges += [(SIGN, SIGN), (SIGN * 2, SIGN)]
    tokenizer = Tokenizer(models.BPE({piece: id for id, piece in enumerate(pieces)}, merges,
                                     unk_token="<unk>", fuse_unk=name != "metaspace",
                                     byte_fallback=name != "metaspace"))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence(decoder)
    tokenizer.post_processor = bos("<s>", 1)
    tokenizer.add_special_tokens([
        AddedToken("<unk>", special=True, normalized=False),
        AddedToken("<s>", special=True, normalized=name == "llama2-old"),
        AddedToken("</s>", special=True, normalized=False, rstrip=True)])
    names = [SIGN * 2, "\n\n"] if name == "gemma" else ["<extra>"]
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in names])
    return tokenizer


def main():
    OUT.mkdir(exist_ok=True)
    nasty = nasty_texts()
    parsed = ["<s>Hello</s>  there", "a<s> b", " <|bos|>Hi<|end|> \n x <|end|>", "[word] x[word] [word]",
              "x  <left>y <tool> z", "<extra> Hi <extra></s>\n<s>", "<unk>a"]
    strings = random_strings()
    cases = []
    for name in (*BYTE_LEVEL, *CHARACTERS):
        make = make_byte_level if name in BYTE_LEVEL else make_characters
        path = OUT / f"{name}.json"
        path.write_text(json.dumps(json.loads(make(name).to_str()), ensure_ascii=False,
                                   separators=(",", ":")))
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.encode_special_tokens = True

        def encode(text):
            return tokenizer.encode(text, add_special_tokens=False).ids

        case = {"name": name, "nasty": [encode(text) for text in nasty],
                "bos": tokenizer.encode("", add_special_tokens=True).ids}
        ids = [encode(text) for text in strings]
        case["random_ids"] = fnv(id.to_bytes(4, "little") for some in ids for id in some)
        texts = [tokenizer.decode(some, skip_special_tokens=False) for some in ids]
        case["random_texts"] = fnv(text.encode() for text in texts)
        case["first_random"] = [[text, some, back]
                                for text, some, back in zip(strings[:8], ids, texts)]
        tokenizer.encode_special_tokens = False
        case["parsed"] = [[text, encode(text)] for text in parsed]
        cases.append(case)
        print(name, path.stat().st_size)
    with open(OUT / "expected.json", "w") as out:
        json.dump({"alphabet": ALPHABET, "strings": RANDOM_STRINGS, "cases": cases}, out,
                  separators=(",", ":"))


if __name__ == "__main__":
    main()
