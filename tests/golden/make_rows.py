#!/usr/bin/env python3
"""Writes rows.json: the rows that drafts over rows of the target's cache keep, for tiny models.

    make_rows.py

Computed in float64 by plain_transformer.py from the methods' descriptions: SnapKV (the last 32
queries of a prompt; with 1 / sqrt(head_dim) or without it; mean of 5 or largest of 7 neighbours),
Pillar (the last 17) and StreamingLLM (the first 16 and the newest). Over a full cache, and over one
whose whole chunks are sealed: there the budget counts sealed tokens and what is not sealed is read
anyway. Rows from `direct` on are read in place, `rows` [layer][kv_head][count] are those kept before
it. `margin`: the smallest lead of a chosen row over one that was not, as a share
of the largest mass; float32 engines differ by far less.
"""

import json
import math
import pathlib

import numpy as np

from plain_transformer import Model, read_gguf

HERE = pathlib.Path(__file__).parent
BLOCK = 16  # rows of a full cache are read in place from a multiple of this
GROUP = 128  # sealed ones from a multiple of this
LEAST = 16
SINKS = 16
# Model, tokens, budget, cache; of 780 tokens the last 12 are a chunk of their own.
PROMPTS = (("llama-long.gguf", 900, 225, "full"), ("qwen3-gqa4-tied.gguf", 120, 64, "full"),
           ("llama-long.gguf", 900, 225, "hierarchical"),
           ("llama-long.gguf", 780, 200, "hierarchical"))
METHODS = [
    {"draft": "snapkv", "queries": 32, "window": 32, "scaled": scaled, "pool": pool}
    for scaled in (True, False) for pool in ("avg5", "max7")
] + [{"draft": draft, "queries": 17, "window": 0, "scaled": True, "pool": "none"}
     for draft in ("pillar", "streaming")]


class Watched(Model):
    """Remembers the newest queries of every layer."""

    def clear(self):
        super().clear()
        self.queries = [None] * self.config.layers

    def _attend(self, layer, q, k, v, first):
        known = self.queries[layer]
        self.queries[layer] = (q if known is None else np.concatenate([known, q]))[-32:]
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


def stream(model, tokens, budget, is_full):
    counted = tokens if is_full else tokens // (2 * GROUP) * 2 * GROUP
    direct = counted - (budget - SINKS)
    direct -= direct % (BLOCK if is_full else GROUP)
    rows = [[list(range(SINKS))] * model.config.kv_heads] * model.config.layers
    return {"direct": direct, "rows": rows, "margin": math.inf}


def choose(model, method, tokens, budget, is_full):
    before_window = tokens - method["window"]
    if is_full:
        direct = columns = before_window // BLOCK * BLOCK
        count = budget - (tokens - columns)
    else:
        direct = tokens // (2 * GROUP) * 2 * GROUP
        columns = min(before_window, direct)
        count = budget - method["window"]
    count = min(max(count, LEAST), columns)
    window = list(range(columns, direct))
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
        rows.append([sorted(int(i) for i in np.argsort(-mass, kind="stable")[:count]) + window
                     for mass in of_heads])
    return {"direct": direct, "rows": rows, "margin": margin}


def main():
    cases = []
    for name, tokens, budget, cache in PROMPTS:
        base = read_gguf(HERE / "models" / name, np.float64)
        model = Watched(base.config, base.tensors)
        # The text of tests/exactness/models.h.
        text = [(i * 29 + i // 7 * 13 + 3) % 250 for i in range(tokens)]
        is_full = cache == "full"
        if is_full:
            model.forward(text)
        else:
            model.read_prompt(text)
        for method in METHODS:
            if method["draft"] == "streaming":
                kept = stream(model, tokens, budget, is_full)
            else:
                kept = choose(model, method, tokens, budget, is_full)
            print(name, cache, method["draft"], method["scaled"], method["pool"],
                  f"margin {kept['margin']:.2e}")
            if math.isinf(kept["margin"]):
                del kept["margin"]
            cases.append({"model": name, "tokens": tokens, "budget": budget, "cache": cache,
                          **method, **kept})
    (HERE / "rows.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
