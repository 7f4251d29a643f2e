#!/usr/bin/env python3
"""Writes sentencepiece/: a small tokenizer.model, and the ids and texts that the sentencepiece library
gives for it.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install sentencepiece==0.2.3
    /tmp/golden/bin/python tests/golden/make_sentencepiece_golden.py

expected.json: ids and decoded texts of the valid texts of nasty.json, and hashes over those of seeded
random strings, which the test makes again.
"""

import json
import pathlib
import tempfile

import sentencepiece

from random_texts import ALPHABET, fnv, nasty_texts, random_strings

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "sentencepiece"


def train():
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus.txt"
        story = (HERE.parent.parent / "examples" / "a-case-of-identity.txt").read_text()
        corpus.write_text(story)
        prefix = pathlib.Path(folder) / "tiny"
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=str(prefix), model_type="bpe", vocab_size=600,
            byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
            add_dummy_prefix=True, user_defined_symbols=["<tool>", "  "],
            control_symbols=["<mark>"], minloglevel=2)
        return prefix.with_suffix(".model").read_bytes()


def main():
    OUT.mkdir(exist_ok=True)
    (OUT / "tiny.model").write_bytes(train())
    model = sentencepiece.SentencePieceProcessor(model_file=str(OUT / "tiny.model"))
    nasty = nasty_texts()
    strings = random_strings()
    ids = [model.encode(text) for text in strings]
    expected = {
        "alphabet": ALPHABET, "strings": len(strings),
        "nasty": [model.encode(text) for text in nasty],
        "first_random": [[text, model.encode(text), model.decode(model.encode(text))]
                         for text in strings[:50]],
        "random_ids": fnv(id.to_bytes(4, "little") for some in ids for id in some),
        "random_texts": fnv(model.decode(some).encode() for some in ids)}
    (OUT / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
