#!/usr/bin/env python3
"""Finds by measurement how much the draft should read: how many of the last layers as the target
does, or how much of the context.

    bench/draft_plan.py --model MODEL.gguf --text BOOK.txt --weights nested --group 64 \\
        --out P.json --plot P.svg
    bench/draft_plan.py ... --draft-contexts 256 512 1024 2048 8192

Runs quantspec bench over --draft-exact-layers or --draft-context, for gamma auto and fixed gammas:
more raises acceptance and makes a draft step dearer. A measured speed also holds what the machine
did meanwhile, which is often more than what a layer changes. So numbers are compared by the
expected speed at a fixed gamma: the accepted share of each stretch, one verify time for all, and
draft times on a straight line, since every exact layer or token costs the same. Names the number
with the highest one and those that the stretches do not tell from it. Writes figures as JSON, the
table beside them as text, and draws both.
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
    parser.add_argument("--draft-contexts", default=[], type=int, nargs="+", metavar="TOKENS",
                        help="try these instead, with the default of exact layers")
    parser.add_argument("--gammas", default=["auto", 2, 3, 4], type=gamma_of, nargs="+",
                        metavar="G")
    parser.add_argument("--repeat", default=1, type=int, help="runs of each kind")
    return parser.parse_args()


def settings_of(options):
    """All runs; the numbers take turns, so that a slow moment hits them alike."""
    varied = varied_of(options)
    return [{"weights": options.weights, "group": options.group, varied: number,
             "depth": depth, "tokens": options.tokens, "gammas": options.gammas,
             "stretch": stretch, "repeat": repeat}
            for repeat in range(options.repeat)
            for stretch in range(options.stretches)
            for depth in sorted(options.contexts)
            for number in numbers_of(options, depth)]


def numbers_of(options, depth):
    """What is tried at one context; no draft reads more tokens than that."""
    return sorted({min(tokens, depth) for tokens in options.draft_contexts} or options.layers)


def varied_of(options):
    """What the runs differ in: the field of quantspec bench."""
    return "draft_context" if options.draft_contexts else "draft_exact_layers"


def expected_speed(line, draft_ms, verify_ms):
    """Tokens a second of rounds as in `line` with these times."""
    drafted = line["mean_gamma"]
    return 1000 * (1 + line["acceptance"] * drafted) / (drafted * draft_ms + verify_ms)


def fit_line(numbers, times):
    """Start and slope, which is the median of those between all pairs: one disturbed time leaves it
    alone. Time that falls with the number can only be noise."""
    points = list(zip(numbers, times))
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2)]
    slope = max(statistics.median(slopes), 0.0) if slopes else 0.0
    return statistics.median(time - slope * number for number, time in points), slope


def add_expected(varied, points, lines_of):
    """Adds to the points of one context and fixed gamma what the parts make expect."""
    numbers = [point[varied] for point in points]
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
            varied: numbers[best], "not_told_apart": alike,
            "draft_ms_slope": slope, "verify_ms": verify_ms}


def differ(speeds, others):
    """Whether `speeds` beat `others` by two standard errors of the differences by stretch."""
    differences = [speeds[of] - others[of] for of in speeds if of in others]
    if len(differences) < 2:
        return False
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return mean(differences) > 2 * error


def points_of(runs, varied):
    """Figures by context, gamma and number, and the best number by context and gamma."""
    points, best = [], []
    numbers = runs.values(varied)
    gammas = dict.fromkeys(line["gamma"] for run in runs.file["runs"] for line in run["lines"])
    for depth in runs.values("depth"):
        for gamma in gammas:
            lines_of = {n: runs.lines(gamma, depth=depth, **{varied: n}) for n in numbers}
            lines_of = {n: lines for n, lines in lines_of.items() if lines}
            here = [{"depth": depth, "gamma": gamma, varied: n, "runs": len(lines),
                     "acceptance": mean(line["acceptance"] for line in lines),
                     "draft_ms": mean(line["draft_ms"] for line in lines),
                     "verify_ms": mean(line["verify_ms"] for line in lines),
                     "tokens_per_s": measure.spread([line["tokens_per_s"] for line in lines])}
                    for n, lines in lines_of.items()]
            if here and gamma not in ("auto", 0):
                best.append(add_expected(varied, here, list(lines_of.values())))
            points += here
    return points, best


def text_of(varied, points, best):
    name, unit, step = {"draft_exact_layers": ("exact layers", "a layer costs", 1),
                        "draft_context": ("draft context", "1,024 tokens cost", 1024)}[varied]

    def number(value, form):
        return None if value is None else f"{value:{form}}"

    def ratio(values):
        return values and f"{values['mean']:.3f} ({values['min']:.3f}-{values['max']:.3f})"
    text = measure.table(
        ["context", "gamma", name, "runs", "accepted", "draft ms", "verify ms",
         "tokens/s", "expected/s", "expected, over the first"],
        [[str(p["depth"]), str(p["gamma"]), str(p[varied]), str(p["runs"]),
          number(p["acceptance"], ".3f"), number(p["draft_ms"], ".2f"),
          number(p["verify_ms"], ".2f"), number(p["tokens_per_s"]["mean"], ".1f"),
          number(p.get("expected_tokens_per_s"), ".1f"), ratio(p.get("expected_over_first"))]
         for p in points]) + "\n"
    for b in best:
        alike = ", ".join(map(str, b["not_told_apart"]))
        text += (f"context {b['depth']}, gamma {b['gamma']}: best {b[varied]}; "
                 f"not told apart from it: {alike or 'none'}; {unit} "
                 f"{step * b['draft_ms_slope']:.3f} ms a draft step\n")
    return text


def main():
    options = parse_arguments()
    varied = varied_of(options)
    runs = measure.Runs("draft plan", options, weights=options.weights, group=options.group,
                        varied=varied)
    finished = runs.measure(settings_of(options))
    points, best = points_of(runs, varied)
    runs.write(best=best, points=points)
    text = text_of(varied, points, best)
    options.out.with_suffix(".txt").write_text(text, encoding="utf-8")
    print(text, end="")
    if not finished:
        sys.exit(3)
    runs.draw()


if __name__ == "__main__":
    main()
