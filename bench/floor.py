#!/usr/bin/env python3
"""What a step must read and multiply, and the time that no program can go below.

    floor.py [--ops FILE [--steps FILE] [--bandwidth GB/s ...]]
                                    the tables of docs/performance.md, as markdown
    floor.py --check PROGRAM MODEL  compares the formulas with what `quantspec` counts itself

The files hold the output of `quantspec bench --json` for the demo model on this machine. --ops: of
`--ops`, whose bandwidth and peaks make the floors, and whose lines a table of how near each
operation comes. --steps: of `--accept 0.9 --gamma 0,4` at the same depth. Needs Python alone.
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys

GROUP = 128        # tokens of a sealed group
PACK = 16          # outputs packed together
REFINED = 32       # packs of the head that a draft reads again
DRAFT_SHARE = 4    # a draft reads one sealed group in so many, ...
DRAFT_LEAST = 12   # ... but at least these
DRAFT_EXACT = 2    # the newest ones, in both planes, besides
GAMMA = 4


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    layers: int
    hidden: int
    ffn: int
    q_heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    depths: tuple

    def linears(self):
        """(outputs, inputs) of a layer's weights, those that share an input together."""
        q, kv = self.q_heads * self.head_dim, self.kv_heads * self.head_dim
        return [[(q, self.hidden), (kv, self.hidden), (kv, self.hidden)], [(self.hidden, q)],
                [(self.ffn, self.hidden)] * 2, [(self.hidden, self.ffn)]]


SHAPES = (Shape("SmolLM2-135M", 30, 576, 1536, 9, 3, 64, 49152, (0, 8192, 16384)),
          Shape("Llama 3.2 1B", 16, 2048, 8192, 32, 8, 64, 128256, (0, 8192, 32768)),
          Shape("Llama 2 7B", 32, 4096, 11008, 32, 32, 128, 32000, (0, 8192, 32768)))


@dataclasses.dataclass(frozen=True)
class Machine:
    """1e9 a second: bytes read; additions and multiplications."""
    bandwidth: float
    int8: float
    float32: float
    bf16: float


# ------------------------------------------------------------------------------- counting

def weight_bytes(linears, planes, group=32):
    """Codes of 4 bits a plane, and a scale and a zero in 16 bits a group; rows padded to 16."""
    cells = sum(-(-outputs // PACK) * PACK * inputs for outputs, inputs in linears)
    return cells * planes // 2 + cells // group * 4


def sealed_groups(tokens):
    """After a prompt of so many tokens."""
    return 2 * (tokens // (2 * GROUP))


def read_groups(tokens, reader):
    """Sealed groups that a step attends over. reader: "target", "draft" or "dense" (no groups)."""
    groups = 0 if reader == "dense" else sealed_groups(tokens)
    if reader != "draft":
        return groups
    exact = exact_groups(tokens, reader)
    older = groups - exact
    return exact + min(older, max(-(-older // DRAFT_SHARE), DRAFT_LEAST))


def exact_groups(tokens, reader):
    """Of these, the ones that are read in both planes."""
    groups = 0 if reader == "dense" else sealed_groups(tokens)
    return min(groups, DRAFT_EXACT) if reader == "draft" else groups


def kv_bytes(shape, tokens, reader):
    """Of one layer. A target reads both planes, a draft the upper one, "dense" 16 bits."""
    dense_token = 4 * shape.head_dim
    tail = tokens - (0 if reader == "dense" else sealed_groups(tokens)) * GROUP
    plane = GROUP * shape.head_dim                       # keys and values, half a byte each
    values = -(-shape.head_dim // 128)                   # groups of a token's values
    scales = 4 * (shape.head_dim + GROUP * values)       # a scale and a zero each
    sealed = read_groups(tokens, reader) * (plane + scales) + exact_groups(tokens, reader) * plane
    return shape.kv_heads * (sealed + tail * dense_token)


def head_step(shape, rows, is_draft):
    """Bytes and int8 operations of the head, in two planes in memory."""
    head = [(shape.vocab, shape.hidden)]
    # Its inputs are quantised in two planes, which doubles its products; not where a draft reads
    # one plane of it, to look again at the packs whose logits are largest.
    whole, cells = weight_bytes(head, 2), shape.vocab * shape.hidden
    if not is_draft:
        return whole, 4 * rows * cells
    packs = -(-shape.vocab // PACK)
    refined = min(REFINED, packs)
    return (weight_bytes(head, 1) + whole * refined // packs,
            2 * rows * cells + 4 * rows * refined * PACK * shape.hidden)


def step(shape, depth, reader, rows, planes=1, is_draft=False):
    """(name, bytes, int8 operations, float operations) of a step, one layer after another."""
    width = shape.q_heads * shape.head_dim
    parts = []
    for linears in shape.linears():
        cells = sum(outputs * inputs for outputs, inputs in linears)
        parts.append(("weights", shape.layers * weight_bytes(linears, planes),
                      2 * rows * shape.layers * cells, 0))
    tail = depth - (0 if reader == "dense" else sealed_groups(depth)) * GROUP
    both = 4 * rows * shape.layers * width               # scores and values, a token
    parts.append(("kv", shape.layers * kv_bytes(shape, depth, reader),
                  both * read_groups(depth, reader) * GROUP, both * tail))
    parts.append(("weights", *head_step(shape, rows, is_draft), 0))
    return parts


def step_bytes(parts, name=None):
    return sum(part[1] for part in parts if name in (None, part[0]))


def floor_s(parts, machine):
    """Operations run one after another, and each waits for its bytes or for its products."""
    return sum(max(size / machine.bandwidth, int8 / machine.int8 + floats / machine.float32)
               for _, size, int8, floats in parts) / 1e9


def prefill(shape, tokens):
    """int8 and 16-bit operations: every layer over all tokens, the head over one."""
    cells = sum(outputs * inputs for linears in shape.linears() for outputs, inputs in linears)
    head = 4 * shape.vocab * shape.hidden
    width = shape.q_heads * shape.head_dim
    return (2 * tokens * shape.layers * cells + head,
            4 * shape.layers * width * tokens * (tokens + 1) // 2)


# --------------------------------------------------------------------------------- tables

def table(heads, rows):
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def print_bytes():
    rows = []
    for shape in SHAPES:
        weights = [step_bytes(step(shape, 0, "target", 1, planes), "weights") for planes in (1, 2)]
        for depth in shape.depths:
            kv = [shape.layers * kv_bytes(shape, depth, reader) for reader in
                  ("dense", "target", "draft")]
            operations = sum(part[2] + part[3] for part in step(shape, depth, "target", 1))
            rows.append([shape.name, depth] + [number(x / 1e6) for x in weights + kv] +
                        [number(operations / 1e9)])
    table(["MB a step", "depth", "weights, 4-bit file", "weights, two planes", "KV dense 16-bit",
           "KV of the target", "KV of a draft", "Gop a row"], rows)


def print_floors(machines):
    rows = []
    for shape in SHAPES:
        for depth in shape.depths:
            cells = [shape.name, depth]
            for reader, count in (("dense", 1), ("target", 1), ("draft", 1), ("target", GAMMA + 1)):
                parts = step(shape, depth, reader, count, is_draft=reader == "draft")
                cells.append(" / ".join(number(1e3 * floor_s(parts, machine))
                                        for machine in machines))
            rows.append(cells)
    bandwidths = " / ".join(f"{machine.bandwidth:.0f}" for machine in machines)
    table([f"floor in ms at {bandwidths} GB/s", "depth", "plain, dense cache", "plain", "draft",
           f"verify of {GAMMA}"], rows)


def print_prefill(machine):
    rows = []
    for shape in SHAPES:
        for depth in shape.depths[1:]:
            int8, half = prefill(shape, depth)
            seconds = int8 / machine.int8 / 1e9 + half / machine.bf16 / 1e9
            rows.append([shape.name, depth, number(int8 / 1e9), number(half / 1e9),
                         number(seconds), number(depth / seconds)])
    table(["prefill of", "tokens", "int8 Gop", "bf16 Gop", "floor in s", "tokens/s"], rows)


def print_ops(lines):
    rows = []
    seen = set()
    for line in lines:
        # A draft that reads what the target reads needs no line of its own.
        key = (line["op"].removesuffix(" draft").removesuffix(" target"), line["rows"],
               line["depth"], line["bytes"])
        if line["peak"] is None or key in seen:
            continue
        seen.add(key)
        share = max(line["bandwidth_fraction"], line["peak_fraction"])
        rows.append([line["op"], line["rows"], line["depth"] or "", number(line["us"]),
                     number(line["gb_per_s"]), f"{line['bandwidth_fraction']:.0%}",
                     number(line["gop_per_s"]), f"{line['peak_fraction']:.0%}", f"{share:.0%}"])
    table(["operation", "rows", "depth", "us", "GB/s", "of bandwidth", "Gop/s", "of peak",
           "floor / time"], rows)


def print_steps(machine, ops, bench):
    """Floor, sum of the operations timed alone, and measured time of the demo model's steps."""
    shape = SHAPES[0]
    depth = max(line["depth"] for line in ops)
    us = {(line["op"], line["rows"]): line["us"] for line in ops}
    measured = {}
    for line in bench:
        if line["gamma"] == 0:
            measured["plain"] = line["verify_ms"]
        else:
            measured["draft"] = line["draft_ms"]
            measured[f"verify of {line['gamma']}"] = line["verify_ms"]
    rows = []
    for name, reader, count in (("plain", "target", 1), ("draft", "draft", 1),
                                (f"verify of {GAMMA}", "target", GAMMA + 1)):
        layer = us[f"attend {reader}", count] + sum(
            us[f"matmul {weights} {reader}", count]
            for weights in ("attn_qkv", "attn_output", "ffn_gate_up", "ffn_down"))
        kernels = (shape.layers * layer + us[f"matmul head {reader}", count]) / 1e3
        parts = step(shape, depth, reader, count, is_draft=reader == "draft")
        floor = 1e3 * floor_s(parts, machine)
        cells = [name, number(floor), number(kernels)]
        if name in measured:
            cells += [number(measured[name]), f"{floor / measured[name]:.0%}"]
        rows.append(cells + [""] * (5 - len(cells)))
    table([f"ms at depth {depth}", "floor", "operations timed alone", "step", "floor / step"], rows)


def read_lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def read_ops(path):
    lines = read_lines(path)
    peaks = {line["op"]: line["gop_per_s"] for line in lines if line["op"].startswith("peak ")}
    machine = Machine(lines[0]["read_bandwidth_gb_per_s"], peaks["peak int8"], peaks["peak float"],
                      peaks.get("peak bf16", peaks["peak float"]))
    return machine, lines


# --------------------------------------------------------------------------------- checks

def run_json(*command):
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(program, model_path):
    """Compares every count that `quantspec` prints for the demo model with the formulas."""
    shape = SHAPES[0]
    wrong = []

    def compare(what, found, counted):
        print(f"{what}: {found:.0f}, by the formulas {counted:.0f}")
        if abs(found - counted) > 0.5:
            wrong.append(what)

    inspected = run_json(program, "inspect", model_path, "--json")[0]
    for key in ("layers", "hidden", "ffn", "q_heads", "kv_heads", "head_dim", "vocab"):
        compare(key, inspected["model"][key], getattr(shape, key))
    compare("weights", sum(tensor["stored_bytes"] for tensor in inspected["tensors"]
                           if len(tensor["shape"]) == 2),
            step_bytes(step(shape, 0, "target", 1), "weights"))
    for cache in ("hierarchical", "full"):
        for line in run_json(program, "bench", "--model", model_path, "--cache", cache, "--depth",
                             "0,200,1000,3000", "--gamma", f"0,{GAMMA}", "--accept", "1", "--tokens",
                             "1", "--repeat", "1", "--json", "--quiet"):
            target = "target" if cache == "hierarchical" else "dense"
            draft = "draft" if cache == "hierarchical" else "dense"
            counted = step_bytes(step(shape, line["depth"], target, 1))
            if line["gamma"]:
                counted += GAMMA * step_bytes(step(shape, line["depth"], draft, 1, is_draft=True))
                counted /= GAMMA + 1
            compare(f"bytes a token, {cache}, gamma {line['gamma']}, depth {line['depth']}",
                    line["bytes_per_token"], counted)
    if wrong:
        sys.exit("floor: error: the program counts otherwise: " + ", ".join(wrong))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", metavar="FILE")
    parser.add_argument("--steps", metavar="FILE")
    parser.add_argument("--bandwidth", metavar="GB/s", type=float, nargs="+",
                        help="floors for these instead of what was measured")
    parser.add_argument("--check", nargs=2, metavar=("PROGRAM", "MODEL"))
    arguments = parser.parse_args()
    if arguments.check:
        check(*arguments.check)
        return
    print_bytes()
    if arguments.ops:
        machine, lines = read_ops(arguments.ops)
        print(f"{lines[0]['isa']}, {lines[0]['threads']} threads: "
              f"{machine.bandwidth:.1f} GB/s, {machine.int8:.0f} Gop/s in 8-bit integers, "
              f"{machine.float32:.0f} in floats, {machine.bf16:.0f} in bf16\n")
        bandwidths = arguments.bandwidth or [machine.bandwidth]
        print_floors([dataclasses.replace(machine, bandwidth=b) for b in bandwidths])
        print_prefill(machine)
        print_ops(lines)
        print_steps(machine, lines, read_lines(arguments.steps) if arguments.steps else [])


if __name__ == "__main__":
    main()
