#!/usr/bin/env python3
"""Writes rows.json: the rows that drafts over a full cache keep, for tiny models.

    make_rows.py

Computed in float64 by plain_transformer.py from the methods' descriptions: SnapKV (the last 32
queries of a prompt; with 1 / sqrt(head_dim) or without it; mean of 5 or largest of 7 neighbours)
and Pillar (the last 17). Rows from `direct` on are read in place, `rows` [layer][kv_head][count] are
those chosen before it. `margin`: the smallest lead of a chosen row over one that was not, as a share
of the largest mass; float32 engines differ by far less.
"""

import json
import math
import pathlib

import numpy as np

from plain_transformer import Model, read_gguf

HERE = pathlib.Path(__file__).parent
BLOCK = 16  # rows of a full cache are read in place from a multiple of this
LEAST = 16
PROMPTS = (("llama-long.gguf", 900, 225), ("qwen3-gqa4-tied.gguf", 120, 64))
METHODS = [
    {"draft": "snapkv", "queries": 32, "window": 32, "scaled": scaled, "pool": pool}
    for scaled in (True, False) for pool in ("avg5", "max7")
] + [{"draft": "pillar", "queries": 17, "window": 0, "scaled": True, "pool": "none"}]


class Watched(Model):
    """Remembers the queries of every layer."""

    def clear(self):
        super().clear()
        self.queries = [None] * self.config.layers

    def _attend(self, layer, q, k, v, first):
        self.queries[layer] = q
        return super()._attend(layer, q, k, v, first)


def masses_of(model, layer, method, tokens):
    """[q_heads, tokens]: the sum of the observers' softmax shares."""
    q = model.queries[layer][-method["queries"]:]
    k = np.repeat(model.cache[layer][0], model.config.q_heads // model.config.kv_heads, axis=1)
    scores = np.einsum("qhd,khd->hqk", q, k)
    if method["scaled"]:
        scores /= math.sqrt(model.config.head_dim)
    observers = np.arange(tokens - len(q), tokens)
    scores = np.where(np.arange(tokens)[None, None, :] > observers[None, :, None], -np.inf, scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).sum(axis=1)


def pooled(masses, pool):
    columns = masses.shape[1]
    if pool == "none":
        return masses
    half = 2 if pool == "avg5" else 3
    padded = np.pad(masses, ((0, 0), (half, half)), constant_values=0.0 if half == 2 else -np.inf)
    shifted = np.stack([padded[:, i:i + columns] for i in range(2 * half + 1)])
    return shifted.sum(axis=0) / 5 if pool == "avg5" else shifted.max(axis=0)


def choose(model, method, tokens, budget):
    columns = (tokens - method["window"]) // BLOCK * BLOCK
    count = min(max(budget - (tokens - columns), LEAST), columns)
    rows, margin = [], math.inf
    for layer in range(model.config.layers):
        of_query_heads = pooled(masses_of(model, layer, method, tokens)[:, :columns],
                                method["pool"])
        of_heads = of_query_heads.reshape(model.config.kv_heads, -1, columns).sum(axis=1)
        for mass in of_heads:
            order = np.argsort(-mass, kind="stable")
            if count < columns:
                lead = mass[order[count - 1]] - mass[order[count]]
                margin = min(margin, float(lead / mass.max()))
        rows.append([sorted(int(i) for i in np.argsort(-mass, kind="stable")[:count])
                     for mass in of_heads])
    return {"direct": columns, "rows": rows, "margin": margin}


def main():
    cases = []
    for name, tokens, budget in PROMPTS:
        base = read_gguf(HERE / "models" / name, np.float64)
        model = Watched(base.config, base.tensors)
        # The text of tests/exactness/models.h.
        model.forward([(i * 29 + i // 7 * 13 + 3) % 250 for i in range(tokens)])
        for method in METHODS:
            chosen = choose(model, method, tokens, budget)
            print(name, method["draft"], method["scaled"], method["pool"],
                  f"margin {chosen['margin']:.2e}")
            cases.append({"model": name, "tokens": tokens, "budget": budget, **method, **chosen})
    (HERE / "rows.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
