"""Tables of compare.py: engines in rows; decoding, prefill and memory in columns."""

from engines import PLAIN, SPECULATIVE

RATIO = "QuantSpec over the fastest peer"


def columns(engine):
    """Heads and numbers of an engine's row, memory last and in MB."""
    numbers = {f"decode at {depth}": speed
               for depth, speed in engine["decode_tokens_per_s"].items()}
    numbers |= {f"prefill {count}": speed
                for count, speed in engine["prefill_tokens_per_s"].items()}
    return numbers | {"peak MB": engine["peak_rss_bytes"] / 1e6}


def ratios(engines):
    """QuantSpec (its default where measured) over the best peer of each column, the best being
    the fastest or the smallest; nothing without peers."""
    own = columns(engines.get(SPECULATIVE) or engines[PLAIN])
    peers = [columns(engine) for name, engine in engines.items()
             if name not in (PLAIN, SPECULATIVE)]
    if not peers:
        return {}
    return {head: number / (min if head == "peak MB" else max)(peer[head] for peer in peers)
            for head, number in own.items()}


def shown(head, number):
    return f"{number:.0f}" if head == "peak MB" or number >= 100 else f"{number:.1f}"


def rows_of(engines):
    """The table as rows of text, heads first."""
    rows = [["engine", *columns(next(iter(engines.values())))]]
    for name, engine in engines.items():
        rows.append([f"{name} ({engine['version']})",
                     *(shown(head, number) for head, number in columns(engine).items())])
    compared = ratios(engines)
    if compared:
        rows.append([RATIO, *(f"{ratio:.2f}" for ratio in compared.values())])
    return rows


def notes(engines):
    return [f"{name}: {engine['note']}" for name, engine in engines.items() if engine["note"]]


def text(engines):
    rows = rows_of(engines)
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [first.ljust(widths[0])
             + "".join(cell.rjust(width + 2) for cell, width in zip(cells, widths[1:]))
             for first, *cells in rows]
    return "\n".join(lines + notes(engines))


def markdown(engines):
    heads, *rows = rows_of(engines)
    rules = ["---"] + ["--:"] * (len(heads) - 1)
    lines = ["| " + " | ".join(row) + " |" for row in [heads, rules, *rows]]
    return "\n".join(lines + [f"\n{note}." for note in notes(engines)])
