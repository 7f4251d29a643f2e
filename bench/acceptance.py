#!/usr/bin/env python3
"""Measures how often the target agrees with the draft, by the length of the context.

    bench/acceptance.py --model MODEL.gguf --text BOOK.txt --out A.json --plot A.svg

For every kind of weights and every context: the share of drafted tokens that are accepted at one
gamma, and the speed of gamma auto over that of plain decoding. Greedy continuations of several
stretches of the text; a model that repeats itself is easy to draft for, so both figures depend on
model and text. Writes the figures as JSON and draws them; prints a table.
"""

import sys

import measure
from measure import mean


def parse_arguments():
    parser = measure.make_parser(__doc__, "acceptance", tokens=160)
    parser.add_argument("--contexts", default=[1000, 2000, 4000, 8000], type=int, nargs="+",
                        metavar="TOKENS", help="tokens in the cache before the timed ones")
    parser.add_argument("--weights", default=["auto", "nested", "bf16"], nargs="+")
    parser.add_argument("--group", default=32, type=int)
    parser.add_argument("--turns", default=3, type=int, metavar="N",
                        help="runs of each speed in turns, of which medians are taken")
    parser.add_argument("--gamma", default=4, type=int, help="of the accepted share")
    return parser.parse_args()


def settings_of(options):
    """All runs, a stretch after the other, so that an early end leaves whole stretches."""
    return [{"weights": weights, "group": options.group, "draft_exact_layers": "auto",
             "depth": depth, "tokens": options.tokens, "gammas": [options.gamma, 0, "auto"],
             "turns": options.turns, "stretch": stretch}
            for stretch in range(options.stretches)
            for depth in sorted(options.contexts)
            for weights in options.weights]


def point(runs, weights, depth, gamma):
    """Figures of one kind of weights at one context, or None without runs."""
    fixed, auto, plain = (runs.lines(g, weights=weights, depth=depth) for g in (gamma, "auto", 0))
    if not fixed:
        return None
    return {"weights": weights, "depth": depth, "stretches": len(fixed),
            "acceptance": measure.spread([line["acceptance"] for line in fixed]),
            "auto_over_plain": measure.spread(measure.ratios(auto, plain)),
            "plain_tokens_per_s": mean(line["tokens_per_s"] for line in plain),
            "auto_tokens_per_s": mean(line["tokens_per_s"] for line in auto),
            "auto_mean_gamma": mean(line["mean_gamma"] for line in auto)}


def text_of(points, gamma):
    def shown(values, form):
        return f"{values['mean']:{form}} ({values['min']:{form}}-{values['max']:{form}})"
    return measure.table(
        ["weights", "context", f"accepted, gamma {gamma}", "plain/s", "auto/s", "auto over plain",
         "gamma of auto"],
        [[p["weights"], str(p["depth"]), shown(p["acceptance"], ".3f"),
          f"{p['plain_tokens_per_s']:.1f}", f"{p['auto_tokens_per_s']:.1f}",
          shown(p["auto_over_plain"], ".2f"), f"{p['auto_mean_gamma']:.1f}"] for p in points])


def main():
    options = parse_arguments()
    runs = measure.Runs("acceptance", options, gamma=options.gamma)
    finished = runs.measure(settings_of(options))
    points = [point(runs, weights, depth, options.gamma) for weights in options.weights
              for depth in runs.values("depth")]
    points = [p for p in points if p]
    runs.write(points=points)
    print(text_of(points, options.gamma))
    if not finished:
        sys.exit(3)
    runs.draw()


if __name__ == "__main__":
    main()
