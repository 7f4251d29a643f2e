"""quantspec bench: the contract's JSON lines."""

import json
import pathlib
import subprocess
import sys

import harness
from harness import MODEL, run, temporary_file

FIELDS = {"depth", "cache", "weights", "draft_exact_layers", "draft", "draft_context", "gamma",
          "decode_tokens_per_s", "prefill_tokens_per_s", "acceptance", "draft_ms", "verify_ms",
          "bytes_per_token", "read_bandwidth_gb_per_s", "bandwidth_fraction", "isa", "threads"}
OP_FIELDS = {"op", "rows", "depth", "us", "gb_per_s", "gop_per_s", "bandwidth_fraction",
             "peak_fraction", "peak", "read_bandwidth_gb_per_s", "isa", "threads"}


@harness.needs_model
class Bench(harness.ProgramTest):
    def bench(self, *arguments):
        done = run("bench", *arguments, "--json", "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_a_line_for_every_depth_and_gamma(self):
        with temporary_file("The quick brown fox jumps over the lazy dog. " * 20) as path:
            lines = self.bench("--model", MODEL, "--file", path, "--depth", "0,64", "--gamma",
                               "auto,0,2", "--tokens", 8, "--repeat", 2)
        self.assertEqual([(line["depth"], line["gamma"]) for line in lines],
                         [(0, "auto"), (0, 0), (0, 2), (64, "auto"), (64, 0), (64, 2)])
        for line in lines:
            self.assertLessEqual(FIELDS, set(line))
            speed = line["decode_tokens_per_s"]
            self.assertLessEqual(speed["min"], speed["median"])
            self.assertLessEqual(speed["median"], speed["max"])
            self.assertGreater(speed["min"], 0)
            self.assertAlmostEqual(
                line["bandwidth_fraction"], line["bytes_per_token"] * speed["median"] / 1e9 /
                line["read_bandwidth_gb_per_s"])
            self.assertEqual(line["prefill_tokens_per_s"] is None, line["depth"] == 0)
        self.assertIsNone(lines[1]["acceptance"])
        self.assertIsNotNone(lines[2]["acceptance"])

    def test_sequences_together_answer_as_each_alone(self):
        with temporary_file("The quick brown fox jumps over the lazy dog. " * 60) as path:
            lines = self.bench("--model", MODEL, "--file", path, "--depth", "300", "--gamma", "0,3",
                               "--tokens", 12, "--repeat", 1, "--sequences", "1,3")
        self.assertEqual([(line["sequences"], line["gamma"]) for line in lines],
                         [(1, 0), (1, 3), (3, 0), (3, 3)])
        for line in lines:
            self.assertLessEqual(FIELDS, set(line))
            self.assertIs(line["identical"], True)
            total = line["total_tokens_per_s"]
            self.assertGreater(total["min"], 0)
            self.assertAlmostEqual(total["median"] / line["sequences"],
                                   line["decode_tokens_per_s"]["median"])

    def test_simulated_acceptance_needs_no_text(self):
        lines = self.bench("--model", MODEL, "--depth", "100", "--gamma", "auto,0,3", "--tokens", 8,
                           "--repeat", 1, "--accept", 0.9)
        self.assertEqual(len(lines), 3)
        self.assertAlmostEqual(lines[2]["acceptance"], (0.9 + 0.81 + 0.729) / 3, places=5)
        self.assertEqual(lines[2]["acceptance_is"], "simulated")

    def test_shapes_have_random_weights(self):
        lines = self.bench("--shape", "smollm2-135m", "--depth", "0", "--gamma", "0", "--tokens", 4,
                           "--repeat", 1)
        self.assertEqual(lines[0]["gamma"], 0)

    def test_operations_stand_under_bandwidth_and_peak(self):
        lines = self.bench("--model", MODEL, "--ops", "--depth", "256", "--repeat", 1)
        peaks = {line["op"]: line["gop_per_s"] for line in lines if line["op"].startswith("peak ")}
        self.assertLessEqual({"peak int4", "peak int8", "peak float"}, set(peaks))
        for line in lines:
            self.assertLessEqual(OP_FIELDS, set(line))
            self.assertGreater(line["us"], 0)
            self.assertGreater(line["gop_per_s"], 0)
            if line["op"].startswith(("matmul ", "attend ")):
                self.assertAlmostEqual(line["peak_fraction"],
                                       line["gop_per_s"] / peaks[line["peak"]])
                self.assertAlmostEqual(line["bandwidth_fraction"], line["gb_per_s"] /
                                       line["read_bandwidth_gb_per_s"])
            else:
                self.assertIsNone(line["peak"])
                self.assertIsNone(line["peak_fraction"])
        by_op = {(line["op"], line["rows"]): line for line in lines}
        # One plane of codes; both; the dense cache in floats; the head's inputs in two planes.
        for op, peak in (("matmul ffn_down target", "peak int4"),
                         ("matmul head target", "peak int8"), ("attend target", "peak int8"),
                         ("attend draft", "peak int4"), ("attend full", "peak float")):
            for rows in (1, 5, 17):
                self.assertEqual(by_op[op, rows]["peak"], peak)
        head = by_op["matmul head target", 1]
        self.assertAlmostEqual(head["gop_per_s"] * head["us"] * 1e3, 2 * 2 * 49152 * 576, delta=1)

    def test_bytes_are_those_of_the_formulas(self):
        floor = pathlib.Path(__file__).resolve().parents[2] / "bench" / "floor.py"
        done = subprocess.run([sys.executable, floor, "--check", harness.PROGRAM, MODEL],
                              capture_output=True, text=True, timeout=harness.LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("bytes a token", done.stdout)

    def test_a_text_too_short_for_the_depth_is_refused(self):
        with temporary_file("A few words.") as path:
            self.assert_fails(run("bench", "--model", MODEL, "--file", path, "--depth", "500",
                                  "--quiet"), 1, "500")

    def test_a_depth_beyond_the_context_is_cut_with_a_note(self):
        tiny = harness.TINY_MODELS / "llama-gqa.gguf"
        limit = self.run_json("inspect", tiny)["model"]["context"]
        done = run("bench", "--model", tiny, "--depth", 10 * limit, "--gamma", "0", "--tokens", 4,
                   "--repeat", 1, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(str(limit), done.stderr)
        self.assertEqual(json.loads(done.stdout)["depth"], limit - 4)


if __name__ == "__main__":
    harness.main()
