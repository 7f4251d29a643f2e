"""bench/measure.py and bench/draft_plan.py, over a program that makes its figures up."""

import json
import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import draft_plan
import measure

# Writes a line to `calls` for every run; acceptance grows with the exact layers, or thousands of
# tokens of the draft's context.
PROGRAM = """#!{python}
import json, sys
words = [word for word in sys.argv[2:] if word != "--json"]
options = dict(zip(words[::2], words[1::2]))
with open({calls!r}, "a") as file:
    file.write(" ".join(words) + "\\n")
layers = options["--draft-exact-layers"]
layers = int(options["--draft-context"]) // 1000 if layers == "auto" else int(layers)
open(options["--file"]).close()
for gamma in options["--gamma"].split(","):
    gamma = int(gamma)
    print(json.dumps({{
        "gamma": gamma, "mean_gamma": gamma, "acceptance": {{0: 0.5, 1: 0.9, 2: 0.9}}[layers],
        "draft_ms": 1 + 0.1 * layers, "verify_ms": 4, "bytes_per_token": 1, "isa": "none",
        "threads": 1, "decode_tokens_per_s": {{"median": 100 + layers}}}}))
"""


class Measure(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        here = pathlib.Path(self.folder.name)
        self.calls = here / "calls"
        program = here / "quantspec"
        program.write_text(PROGRAM.format(python=sys.executable, calls=str(self.calls)))
        program.chmod(0o755)
        text = here / "text.txt"
        text.write_text("".join(f"Part {i:04}\n\n" for i in range(500)))
        self.options = types.SimpleNamespace(
            model=pathlib.Path("m.gguf"), text=text, quantspec=program, threads=None, tokens=8,
            stretches=2, machine="none", out=here / "out.json", budget_s=float("inf"),
            weights="nested", group=32, contexts=[16], layers=[0, 1, 2], draft_contexts=[],
            gammas=[4], repeat=1)

    def runs(self):
        return measure.Runs("draft plan", self.options, weights="nested", group=32)

    def count(self):
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0

    def test_what_a_file_holds_is_not_measured_again(self):
        settings = draft_plan.settings_of(self.options)
        self.assertEqual(len(settings), 6)
        self.options.budget_s = -1
        self.assertFalse(self.runs().measure(settings))
        self.assertEqual(self.count(), 0)
        self.options.budget_s = float("inf")
        self.assertTrue(self.runs().measure(settings[:4]))
        self.assertTrue(self.runs().measure(settings))
        self.assertEqual(self.count(), 6)
        self.assertEqual(len(json.loads(self.options.out.read_text())["runs"]), 6)

    def test_results_of_another_model_are_refused(self):
        self.runs().measure(draft_plan.settings_of(self.options)[:1])
        self.options.model = pathlib.Path("other.gguf")
        with self.assertRaisesRegex(SystemExit, "m.gguf.*other.gguf"):
            self.runs()

    def test_the_best_number_of_layers_weighs_acceptance_and_time(self):
        runs = self.runs()
        runs.measure(draft_plan.settings_of(self.options))
        points, best = draft_plan.points_of(runs, "draft_exact_layers")
        self.assertEqual([p["draft_exact_layers"] for p in points], [0, 1, 2])
        self.assertAlmostEqual(points[0]["expected_tokens_per_s"], 1000 * 3.0 / 8.0)
        self.assertAlmostEqual(points[1]["expected_tokens_per_s"], 1000 * 4.6 / 8.4)
        self.assertEqual(len(best), 1)
        self.assertEqual(best[0]["draft_exact_layers"], 1)
        self.assertAlmostEqual(best[0]["draft_ms_slope"], 0.1)

    def test_contexts_of_the_draft_are_weighed_alike(self):
        self.options.contexts = [2000]
        self.options.draft_contexts = [0, 1000, 2000, 4000]
        runs = self.runs()
        runs.measure(draft_plan.settings_of(self.options))
        points, best = draft_plan.points_of(runs, "draft_context")
        self.assertEqual([p["draft_context"] for p in points], [0, 1000, 2000])
        self.assertEqual(best[0]["draft_context"], 1000)
        self.assertAlmostEqual(best[0]["draft_ms_slope"], 0.0001)
        self.assertIn("1,024 tokens cost 0.102 ms",
                      draft_plan.text_of("draft_context", points, best))

    def test_numbers_are_told_apart_by_what_the_stretches_agree_on(self):
        self.assertTrue(draft_plan.differ({1: 11.0, 2: 21.0, 3: 31.1}, {1: 10.0, 2: 20.0, 3: 30.0}))
        self.assertFalse(
            draft_plan.differ({1: 12.0, 2: 19.0, 3: 31.0}, {1: 10.0, 2: 20.0, 3: 30.0}))
        self.assertFalse(draft_plan.differ({1: 11.0}, {1: 10.0}))

    def test_stretches_begin_at_different_paragraphs_whatever_their_number(self):
        with measure.stretches(self.options.text, 3) as three:
            begins = [path.read_text()[:9] for path in three]
            self.assertEqual(len(set(begins)), 3)
            self.assertTrue(all(begin.startswith("Part") for begin in begins))
        with measure.stretches(self.options.text, 2) as two:
            self.assertEqual([path.read_text()[:9] for path in two], begins[:2])


if __name__ == "__main__":
    unittest.main()
