#!/usr/bin/env python3
"""Draws a file of bench/acceptance.py or bench/draft_plan.py; needs matplotlib.

    bench/plot.py RESULTS.json PICTURE.svg

The measuring scripts call it in a virtual environment of their own.
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402  (after the choice of the backend)

# Readable in print and to the colour-blind [okabe2008]; the marker tells the lines apart too.
STYLES = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#555555", "v")]
WEIGHTS = {"auto": "auto (4-bit file as it is)", "nested": "nested (two planes)",
           "bf16": "bf16 (and a 4-bit copy)"}


def line(axes, index, label, x, values):
    """A line through the means of `values`, with the range of the runs as bars."""
    colour, marker = STYLES[index % len(STYLES)]
    means = [v["mean"] for v in values]
    ranges = [[v["mean"] - v["min"] for v in values], [v["max"] - v["mean"] for v in values]]
    axes.errorbar(x, means, yerr=ranges, color=colour, marker=marker, markersize=5, linewidth=1.8,
                  elinewidth=0.8, capsize=2.5, label=label)


def axes_row(count, title):
    figure, row = pyplot.subplots(1, count, figsize=(4.6 * count, 3.9), squeeze=False)
    figure.suptitle(title, fontsize=10)
    for axes in row[0]:
        axes.grid(True, linewidth=0.4, color="#cccccc")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, row[0]


def title_of(results):
    return f"{results['model'].rsplit('.gguf', 1)[0]}, {results['machine']}, {results['isa']}"


def draw_acceptance(results):
    figure, (shares, speeds) = axes_row(2, title_of(results))
    points = results["points"]
    kinds = list(dict.fromkeys(p["weights"] for p in points))
    for index, kind in enumerate(kinds):
        here = [p for p in points if p["weights"] == kind]
        # A little apart, so that bars at one context do not hide each other.
        x = [p["depth"] * 1.03 ** (index - (len(kinds) - 1) / 2) for p in here]
        line(shares, index, WEIGHTS.get(kind, kind), x,
             [{k: 100 * v for k, v in p["acceptance"].items()} for p in here])
        line(speeds, index, WEIGHTS.get(kind, kind), x, [p["auto_over_plain"] for p in here])
    shares.set_ylabel(f"drafted tokens accepted, gamma {results['gamma']} (%)")
    shares.set_ylim(top=100.5)
    speeds.set_ylabel("speed of gamma auto (plain = 1)")
    speeds.axhline(1, color="black", linewidth=0.8, linestyle="--")
    speeds.set_ylim(bottom=min(0.9, speeds.get_ylim()[0]))
    depths = sorted({p["depth"] for p in points})
    for axes in (shares, speeds):
        axes.set_xscale("log", base=2)
        axes.set_xticks(depths, [f"{depth:,}" for depth in depths])
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.set_xlabel("context (tokens)")
    figure.legend(*shares.get_legend_handles_labels(), loc="lower center", ncols=len(kinds),
                  fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def draw_draft_plan(results):
    title = f"{title_of(results)}, weights {results['weights']}, group {results['group']}"
    figure, (shares, speeds) = axes_row(2, title)
    points, varied = results["points"], results.get("varied", "draft_exact_layers")
    # Drafts of gamma auto are few, and made where they are easy; its speed is in the table.
    curves = list(dict.fromkeys((p["depth"], p["gamma"]) for p in points
                                if "expected_over_first" in p))
    for index, (depth, gamma) in enumerate(curves):
        here = [p for p in points if (p["depth"], p["gamma"]) == (depth, gamma)]
        numbers = [p[varied] for p in here]
        label = f"context {depth:,}, gamma {gamma}"
        colour, marker = STYLES[index % len(STYLES)]
        shares.plot(numbers, [100 * p["acceptance"] for p in here], color=colour, marker=marker,
                    markersize=5, linewidth=1.8)
        line(speeds, index, label, numbers, [p["expected_over_first"] for p in here])
    shares.set_ylabel("drafted tokens accepted (%)")
    names = {"draft_exact_layers": ("exact layers", "last layers that the draft reads exactly"),
             "draft_context": ("tokens", "sealed tokens that the draft reads")}[varied]
    numbers = sorted({p[varied] for p in points})
    speeds.set_ylabel(f"expected speed ({numbers[0]:,} {names[0]} = 1)")
    for axes in (shares, speeds):
        if varied == "draft_context":
            axes.set_xscale("log", base=2)
            axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
        axes.set_xlabel(names[1])
    figure.legend(*speeds.get_legend_handles_labels(), loc="lower center",
                  ncols=min(len(curves), 3), fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.06 + 0.05 * ((len(curves) - 1) // 3), 1, 1))
    return figure


def main():
    results = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    # The same bytes for the same figures, and text as text: a tenth of the size.
    matplotlib.rcParams.update({"svg.hashsalt": "quantspec", "svg.fonttype": "none"})
    draw = {"acceptance": draw_acceptance, "draft plan": draw_draft_plan}[results["kind"]]
    metadata = {"Date": None} if sys.argv[2].endswith(".svg") else None
    draw(results).savefig(sys.argv[2], dpi=110, facecolor="white", metadata=metadata)


if __name__ == "__main__":
    main()
