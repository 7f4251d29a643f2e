"""quantspec bench: the contract's JSON lines."""

import json

import harness
from harness import MODEL, run, temporary_file

FIELDS = {"depth", "cache", "weights", "gamma", "decode_tokens_per_s", "prefill_tokens_per_s",
          "acceptance", "draft_ms", "verify_ms", "bytes_per_token", "read_bandwidth_gb_per_s",
          "bandwidth_fraction", "isa", "threads"}


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
