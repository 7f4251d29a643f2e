#!/usr/bin/env python3
"""Writes statistics.json: what an independent implementation makes of the same numbers as
apps/eval/statistics.cc. Needs no packages: python3 make_statistics_golden.py > statistics.json"""

import fractions
import json
import math
import random
import statistics

MASK = (1 << 64) - 1
RESAMPLES = 2000


def split_mix(state):
    """The first output of SplitMix64 seeded with `state`."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def quantile(values, share):
    ordered = sorted(values)
    at = fractions.Fraction(share) * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + float(at - low) * (ordered[high] - ordered[low])


def bootstrap(values, average, seed):
    n = len(values)
    if n < 2:
        return None
    averages = []
    for s in range(RESAMPLES):
        picks = [split_mix((seed + s * 2**32 + i) & MASK) % n for i in range(n)]
        averages.append(average([values[p] for p in picks]))
    return [quantile(averages, "0.025"), quantile(averages, "0.975")]


def simulate(rng, gamma, tokens, chances, group):
    """Rounds of speculation, counted as an engine would: they are cut where a group of `group` rows
    is sealed, and the last ones to what is left."""
    drafted, accepted = [0] * gamma, [0] * gamma
    generated, rounds, reached_by, passed_by = 1, 0, [0] * gamma, [0] * gamma
    while generated < tokens:
        rounds += 1
        drafts = min(gamma, tokens - generated - 1, group - 1 - (generated - 1) % group)
        kept = 0
        for i in range(drafts):
            drafted[i] += 1
        for i in range(drafts):
            reached_by[i] += 1
            if rng.random() >= chances[i]:
                break
            passed_by[i] += 1
            accepted[i] += 1
            kept += 1
        generated += kept + 1
    return {"drafted": drafted, "accepted": accepted, "generated": generated, "rounds": rounds,
            "tau": (generated - 1) / rounds,
            "acceptance": sum(accepted) / sum(drafted),
            "reached": reached_by,
            "conditional": [p / r for p, r in zip(passed_by, reached_by)],
            "chances": chances}


def rep4(tokens):
    grams = [tuple(tokens[i:i + 4]) for i in range(len(tokens) - 3)]
    return (len(grams) - len(set(grams))) / len(grams) if grams else 0.0


def main():
    rng = random.Random(20)
    result = {"averages": [], "rounds": [], "rep4": []}
    for n in (1, 2, 5, 10, 37):
        values = [round(rng.uniform(0.4, 3.0), 6) for _ in range(n)]
        result["averages"].append({
            "values": values, "seed": 7 * n,
            "mean": statistics.fmean(values), "median": statistics.median(values),
            "geometric": statistics.geometric_mean(values),
            "interval_mean": bootstrap(values, statistics.fmean, 7 * n),
            "interval_geometric": bootstrap(values, statistics.geometric_mean, 7 * n)})
    for gamma, tokens, group in ((1, 40, 128), (3, 256, 128), (6, 256, 128), (8, 90, 16),
                                 (6, 100000, 12)):
        chances = [0.95 - 0.05 * i for i in range(gamma)]
        result["rounds"].append(simulate(rng, gamma, tokens, chances, group))
    result["rounds"].append({"reached": [5, 0, 0], "accepted": [0, 0, 0], "generated": 6,
                             "rounds": 5, "tau": 1.0, "chances": [0.0], "conditional": [0.0]})
    for length, vocab in ((3, 2), (4, 2), (60, 2), (200, 5), (200, 1000)):
        tokens = [rng.randrange(vocab) for _ in range(length)]
        result["rep4"].append({"tokens": tokens, "share": rep4(tokens)})
    print(json.dumps(result))


if __name__ == "__main__":
    main()
