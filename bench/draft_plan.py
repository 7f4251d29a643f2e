#!/usr/bin/env python3
"""Finds by measurement how many of the last layers the draft should read as the target does.

    bench/draft_plan.py --model MODEL.gguf --text BOOK.txt --weights nested --group 64 \\
        --out P.json --plot P.svg

Runs quantspec bench over --draft-exact-layers, for gamma auto and fixed gammas: more exact layers
raise acceptance and make a draft step dearer. A measured speed also holds what the machine did
meanwhile, which is often more than what a layer changes. So numbers of layers are compared by the
expected speed at a fixed gamma: the accepted share of each stretch, one verify time for all, and
draft times on a straight line, since every exact layer costs the same. Names the number with the
highest one and those that the stretches do not tell from it. Writes figures as JSON, the table
beside them as text, and draws both.
"""

import itertools
import statistics
import sys

import measure
from measure import mean


def gamma_of(text):
    return text if text == "auto" else int(text)


def parse_arguments():
    parser = measure.make_parser(__doc__, "draft-plan", tokens=160)
    parser.add_argument("--contexts", default=[2048, 8000], type=int, nargs="+", metavar="TOKENS",
                        help="tokens in the cache before the timed ones")
    parser.add_argument("--weights", default="nested")
    parser.add_argument("--group", default=32, type=int)
    parser.add_argument("--layers", default=[0, 1, 2, 4, 8], type=int, nargs="+", metavar="N",
                        help="numbers of exact layers to try")
    parser.add_argument("--gammas", default=["auto", 2, 3, 4], type=gamma_of, nargs="+",
                        metavar="G")
    parser.add_argument("--repeat", default=1, type=int, help="runs of each kind")
    return parser.parse_args()


def settings_of(options):
    """All runs; the numbers of layers take turns, so that a slow moment hits them alike."""
    return [{"weights": options.weights, "group": options.group, "draft_exact_layers": layers,
             "depth": depth, "tokens": options.tokens, "gammas": options.gammas,
             "stretch": stretch, "repeat": repeat}
            for repeat in range(options.repeat)
            for stretch in range(options.stretches)
            for depth in sorted(options.contexts)
            for layers in sorted(options.layers)]


def expected_speed(line, draft_ms, verify_ms):
    """Tokens a second of rounds as in `line` with these times."""
    drafted = line["mean_gamma"]
    return 1000 * (1 + line["acceptance"] * drafted) / (drafted * draft_ms + verify_ms)


def fit_line(numbers, times):
    """Start and slope, which is the median of those between all pairs: one disturbed time leaves it
    alone. Time that falls with the number of layers can only be noise."""
    points = list(zip(numbers, times))
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2)]
    slope = max(statistics.median(slopes), 0.0) if slopes else 0.0
    return statistics.median(time - slope * number for number, time in points), slope


def add_expected(points, lines_of):
    """Adds to the points of one context and fixed gamma what the parts make expect."""
    numbers = [point["draft_exact_layers"] for point in points]
    verify_ms = statistics.median(line["verify_ms"] for lines in lines_of for line in lines)
    draft_ms = [statistics.median(line["draft_ms"] for line in lines) for lines in lines_of]
    start, slope = fit_line(numbers, draft_ms)
    speeds = []
    for number, lines in zip(numbers, lines_of):
        speeds.append({line["of"]: expected_speed(line, start + slope * number, verify_ms)
                       for line in lines})
    for point, speed in zip(points, speeds):
        ratios = [speed[of] / speeds[0][of] for of in speed if of in speeds[0]]
        point["expected_tokens_per_s"] = mean(speed.values())
        point["expected_over_first"] = measure.spread(ratios)
    best = max(range(len(points)), key=lambda i: points[i]["expected_over_first"]["mean"])
    alike = [numbers[i] for i in range(len(points))
             if i != best and not differ(speeds[best], speeds[i])]
    return {"depth": points[0]["depth"], "gamma": points[0]["gamma"],
            "draft_exact_layers": numbers[best], "not_told_apart": alike,
            "draft_ms_a_layer": slope, "verify_ms": verify_ms}


def differ(speeds, others):
    """Whether `speeds` beat `others` by two standard errors of the differences by stretch."""
    differences = [speeds[of] - others[of] for of in speeds if of in others]
    if len(differences) < 2:
        return False
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return mean(differences) > 2 * error


def points_of(runs):
    """Figures by context, gamma and number of layers, and the best number by context and gamma."""
    points, best = [], []
    numbers = runs.values("draft_exact_layers")
    gammas = dict.fromkeys(line["gamma"] for run in runs.file["runs"] for line in run["lines"])
    for depth in runs.values("depth"):
        for gamma in gammas:
            lines_of = {n: runs.lines(gamma, depth=depth, draft_exact_layers=n) for n in numbers}
            lines_of = {n: lines for n, lines in lines_of.items() if lines}
            here = [{"depth": depth, "gamma": gamma, "draft_exact_layers": n, "runs": len(lines),
                     "acceptance": mean(line["acceptance"] for line in lines),
                     "draft_ms": mean(line["draft_ms"] for line in lines),
                     "verify_ms": mean(line["verify_ms"] for line in lines),
                     "tokens_per_s": measure.spread([line["tokens_per_s"] for line in lines])}
                    for n, lines in lines_of.items()]
            if here and gamma not in ("auto", 0):
                best.append(add_expected(here, list(lines_of.values())))
            points += here
    return points, best


def text_of(points, best):
    def number(value, form):
        return None if value is None else f"{value:{form}}"

    def ratio(values):
        return values and f"{values['mean']:.3f} ({values['min']:.3f}-{values['max']:.3f})"
    text = measure.table(
        ["context", "gamma", "exact layers", "runs", "accepted", "draft ms", "verify ms",
         "tokens/s", "expected/s", "expected, over the first"],
        [[str(p["depth"]), str(p["gamma"]), str(p["draft_exact_layers"]), str(p["runs"]),
          number(p["acceptance"], ".3f"), number(p["draft_ms"], ".2f"),
          number(p["verify_ms"], ".2f"), number(p["tokens_per_s"]["mean"], ".1f"),
          number(p.get("expected_tokens_per_s"), ".1f"), ratio(p.get("expected_over_first"))]
         for p in points]) + "\n"
    for b in best:
        alike = ", ".join(map(str, b["not_told_apart"]))
        text += (f"context {b['depth']}, gamma {b['gamma']}: best {b['draft_exact_layers']}; "
                 f"not told apart from it: {alike or 'none'}; a layer costs "
                 f"{b['draft_ms_a_layer']:.3f} ms a draft step\n")
    return text


def main():
    options = parse_arguments()
    runs = measure.Runs("draft plan", options, weights=options.weights, group=options.group)
    finished = runs.measure(settings_of(options))
    points, best = points_of(runs)
    runs.write(best=best, points=points)
    text = text_of(points, best)
    options.out.with_suffix(".txt").write_text(text, encoding="utf-8")
    print(text, end="")
    if not finished:
        sys.exit(3)
    runs.draw()


if __name__ == "__main__":
    main()
