#!/usr/bin/env python3
"""compare.py without its engines: a stand-in for llama-bench in both dialects, and the tables."""

import argparse
import pathlib
import struct
import sys
import tempfile
import unittest

import engines
import llama_state
import report

# Speeds tell sizes: prefill of N tokens runs at N, decoding behind D tokens at 10000 + D. A test of
# kind -gp names its depth n_prompt and has no n_depth.
FAKE = """#!{python}
import json, sys
arguments = sys.argv[1:]
if arguments == ["--help"]:
    print({usage!r})
    sys.exit()
values = dict(zip(arguments, arguments[1:]))
known = {known!r}
def sizes(name):
    return [int(size) for size in values.get(name, "0").split(",")]
lines = []
if {fails!r} or set(a for a in arguments if a[0] == "-") - known or values["-o"] != "json":
    print("error: invalid parameter", file=sys.stderr)
    sys.exit(1)
def add(n_prompt, n_gen, speed, **more):
    lines.append(dict(build_commit="abc123", n_prompt=n_prompt, n_gen=n_gen, avg_ts=speed, **more))
for size in filter(None, sizes("-p")):
    add(size, 0, size)
for depth in sizes("-d") if sizes("-n") != [0] else []:
    add(0, sizes("-n")[0], 10000 + depth, **({{"n_depth": depth}} if "-d" in known else {{}}))
for name, pair in zip(arguments, arguments[1:]):
    if name == "-gp":
        depth, count = map(int, pair.split(","))
        add(depth, count, 10000 + depth)
print(json.dumps(lines))
"""
COMMON = {"-m", "-t", "-fa", "-r", "-o", "-p", "-n"}


def options(**more):
    return argparse.Namespace(**{"model": "m.gguf", "threads": 2, "prefill": [512, 7000],
                                 "depth": [0, 4096], "tokens": 8, "isa": None, "launcher": [],
                                 **more})


class LlamaBench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.binary = pathlib.Path(folder.name) / "llama-bench"

    def measure(self, usage, known, asked, fails=False):
        self.binary.write_text(FAKE.format(python=sys.executable, usage=usage, fails=fails,
                                           known=COMMON | known))
        self.binary.chmod(0o755)
        return engines.measure_llama_bench(self.binary, asked)

    def test_reads_depths_of_llama_cpp(self):
        result = self.measure("  -d, --n-depth <n>", {"-d"}, options())
        self.assertEqual(result["prefill"], {512: 512, 7000: 7000})
        self.assertEqual(result["decode"], {0: 10000, 4096: 14096})
        self.assertEqual(result["version"], "abc123")
        self.assertGreater(result["peak_rss_bytes"], 1e6)

    def test_reads_generation_behind_a_prompt_of_ik_llama_cpp(self):
        result = self.measure("  -gp <pp,tg>", {"-gp"}, options())
        self.assertEqual(result["prefill"], {512: 512, 7000: 7000})
        self.assertEqual(result["decode"], {0: 10000, 4096: 14096})
        result = self.measure("  -gp <pp,tg>", {"-gp"}, options(depth=[4096, 8000]))
        self.assertEqual(result["decode"], {4096: 14096, 8000: 18000})

    def test_says_why_it_failed(self):
        with self.assertRaisesRegex(engines.EngineFailed, "invalid parameter"):
            self.measure("  -gp <pp,tg>", {"-gp"}, options(), fails=True)

    def test_misses_a_depth_that_was_not_measured(self):
        with self.assertRaisesRegex(engines.EngineFailed, "decode of .* expected"):
            self.measure("  -gp <pp,tg>", {"-gp"}, options(depth=[4096, 4096]))


class Report(unittest.TestCase):
    @staticmethod
    def engine(decode, prefill, peak, note=""):
        return {"version": "1", "note": note, "decode_tokens_per_s": {"0": decode},
                "prefill_tokens_per_s": {"512": prefill}, "peak_rss_bytes": peak * 1e6}

    def setUp(self):
        self.summary = {engines.PLAIN: self.engine(20, 300, 100),
                        engines.SPECULATIVE: self.engine(30, 300, 100),
                        "a": self.engine(10, 600, 400), "b": self.engine(15, 200, 200, "slow")}

    def test_compares_the_default_with_the_best_peer_of_each_column(self):
        self.assertEqual(report.ratios(self.summary),
                         {"decode at 0": 2, "prefill 512": 0.5, "peak MB": 0.5})
        del self.summary[engines.SPECULATIVE]
        self.assertEqual(report.ratios(self.summary)["decode at 0"], 20 / 15)

    def test_needs_no_peer(self):
        alone = {engines.PLAIN: self.summary[engines.PLAIN]}
        self.assertEqual(report.ratios(alone), {})
        self.assertEqual(len(report.text(alone).splitlines()), 2)

    def test_aligns_text(self):
        *lines, note = report.text(self.summary).splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertEqual(note, "b: slow")

    def test_writes_markdown(self):
        lines = report.markdown(self.summary).splitlines()
        self.assertEqual(lines[:2], ["| engine | decode at 0 | prefill 512 | peak MB |",
                                     "| --- | --: | --: | --: |"])
        self.assertEqual(lines[4], "| a (1) | 10.0 | 600 | 400 |")
        self.assertEqual(lines[6], f"| {report.RATIO} | 2.00 | 0.50 | 0.50 |")


def state_of(rows, layers, transposed=0):
    """A state of llama.cpp with these rows of 4 bytes, the same for all keys and values."""
    cells = b"".join(struct.pack("<iII", position, 1, 0) for position in range(len(rows)))
    block = struct.pack("<iQ", 1, 4) + b"".join(rows)
    return (struct.pack("<IIII", 0xABCD, 0, 1, len(rows)) + cells
            + struct.pack("<II", transposed, layers) + 2 * layers * block)


class LlamaState(unittest.TestCase):
    def test_repeats_rows(self):
        self.assertEqual(llama_state.repeated(state_of([b"aaaa", b"bbbb"], 3), 5),
                         state_of([b"aaaa", b"bbbb", b"aaaa", b"bbbb", b"aaaa"], 3))

    def test_refuses_other_layouts(self):
        for state in (state_of([b"aaaa"], 1, transposed=1), state_of([b"aaaa"], 1) + b"more"):
            with self.assertRaises(ValueError):
                llama_state.repeated(state, 2)


if __name__ == "__main__":
    unittest.main()
