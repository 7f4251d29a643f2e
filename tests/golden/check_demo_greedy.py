#!/usr/bin/env python3
"""Writes demo_greedy.json: what the demo model says greedily after a prompt of 200 tokens.

    check_demo_greedy.py MODEL.gguf TEXT

Computed by plain_transformer.py in float32. The prompt is the beginning of TEXT cut by longest
match, not by the model's tokenizer: any fixed tokens do. `margin` is the smallest lead of a chosen
token over the second best, in logits: float32 engines differ by far less.
"""

import json
import pathlib
import sys

import gguf
import numpy as np

from make_models import byte_symbols
from plain_transformer import read_gguf

PROMPT_TOKENS = 200
NEW_TOKENS = 64


def longest_match(pieces, text, count):
    symbols = byte_symbols()
    rest = "".join(symbols[byte] for byte in text.encode()[:20 * count])
    tokens = []
    while len(tokens) < count:
        length = next(n for n in range(32, 0, -1) if rest[:n] in pieces)
        tokens.append(pieces[rest[:length]])
        rest = rest[length:]
    return tokens


def main():
    model_path, text_path = sys.argv[1:]
    names = gguf.GGUFReader(model_path).get_field("tokenizer.ggml.tokens").contents()
    pieces = {name: token for token, name in enumerate(names)}
    prompt = longest_match(pieces, pathlib.Path(text_path).read_text(encoding="utf-8"),
                           PROMPT_TOKENS)
    model = read_gguf(model_path, np.float32)
    hidden = model.forward(prompt)
    tokens, margin = [], np.inf
    for _ in range(NEW_TOKENS):
        logits = model.logits(hidden[-1])
        second, first = np.sort(logits)[-2:]
        margin = min(margin, float(first - second))
        tokens.append(int(np.argmax(logits)))
        hidden = model.forward(tokens[-1:])
    out = {"model": pathlib.Path(model_path).name, "margin": round(margin, 4), "prompt": prompt,
           "tokens": tokens}
    (pathlib.Path(__file__).parent / "demo_greedy.json").write_text(json.dumps(out) + "\n")
    print(f"margin {margin:.4f}")
    print("".join(names[token] for token in tokens))


if __name__ == "__main__":
    main()
