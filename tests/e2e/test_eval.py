"""quantspec eval: cells that survive being killed, and the report's contract."""

import json
import pathlib
import random
import signal
import tempfile
import time

import harness
from harness import TINY_MODELS, run, start

MODEL = TINY_MODELS / "llama-long.gguf"  # a token a byte, context 2,048
# What derives from time.
TIMED = {"speedup", "speedup_90", "tokens_per_s", "draft_ms", "verify_ms", "ci95", "peak_rss_bytes"}
CELL = {"table", "model", "dataset", "context", "example", "method", "gamma", "weights", "cache",
        "acceptance", "tau", "tokens", "speedup", "memory_bytes", "peak_rss_bytes", "identical",
        "rep4"}
SUMMARY = {"method", "context", "gamma", "n", "acceptance", "tau", "speedup", "ci95"}
SMALL = ["table4", "--model", MODEL, "--datasets", "novel,code", "--contexts", "300,700",
         "--tokens", 40, "--examples", 2, "--gammas", 3, "--threads", 2]


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key not in TIMED}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def report(folder):
    return json.loads((pathlib.Path(folder) / "report.json").read_text())


class Eval(harness.ProgramTest):
    def evaluate(self, folder, *arguments):
        done = run("eval", *arguments, "--out", folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_the_report_holds_the_contract(self):
        with tempfile.TemporaryDirectory() as folder:
            summary = self.run_json("eval", *SMALL, "--out", folder)["summary"]
            found = report(folder)
            self.assertEqual(found["done"], 8)
            self.assertEqual(summary, found["summary"])
            for cell in found["cells"]:
                self.assertLessEqual(CELL, cell.keys())
                self.assertIn(cell["identical"], (True, None))
                self.assertGreater(cell["tau"] + (cell["method"] == "plain-int4"), 0.9)
            for line in found["summary"]:
                self.assertLessEqual(SUMMARY, line.keys())
                self.assertEqual(line["n"], 4)
            self.assertEqual({line["method"] for line in summary},
                             {"plain-bf16", "plain", "plain-int4", "streaming", "snapkv",
                              "streaming-int4", "snapkv-int4", "pillar", "ngram", "quantspec-all",
                              "quantspec"})
            text = (pathlib.Path(folder) / "report.md").read_text()
            self.assertIn("8 of 8 planned cells", text)
            self.assertTrue((pathlib.Path(folder) / "speedup.svg").exists())

    def test_killed_at_any_moment_it_goes_on(self):
        with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as torn:
            self.evaluate(whole, *SMALL)
            rng = random.Random(20)
            for _ in range(20):
                process = start("eval", *SMALL, "--out", torn)
                time.sleep(rng.uniform(0.02, 0.5))
                process.kill()
                process.communicate()
            self.evaluate(torn, *SMALL)
            self.assertEqual(json.dumps(timeless(report(torn))),
                             json.dumps(timeless(report(whole))))

    def test_shards_make_the_whole_and_finished_cells_are_skipped(self):
        ids = run("eval", *SMALL, "--plan").stdout.split()
        self.assertEqual(len(set(ids)), 8)
        with tempfile.TemporaryDirectory() as folder:
            cells = pathlib.Path(folder) / "cells"
            for shard in (1, 2):
                self.evaluate(folder, *SMALL, "--shard", f"{shard}/3")
            self.assertEqual(len(list(cells.iterdir())), 6)
            self.evaluate(folder, *SMALL, "--cell", ids[-1])
            before = {path: path.stat().st_mtime_ns for path in cells.iterdir()}
            damaged = cells / f"{ids[0]}.json"
            damaged.write_text(damaged.read_text()[:100])
            done = self.evaluate(folder, *SMALL)
            self.assertIn(ids[0], done.stderr)
            for path, changed in before.items():
                self.assertEqual(path.stat().st_mtime_ns == changed, path != damaged)
            made = (pathlib.Path(folder) / "report.md").read_bytes()
            run("eval", "--report", "--out", folder)
            self.assertEqual((pathlib.Path(folder) / "report.md").read_bytes(), made)

    def test_ctrl_c_keeps_finished_cells(self):
        with tempfile.TemporaryDirectory() as folder:
            process = start("eval", *SMALL, "--examples", 200, "--out", folder)
            cells = pathlib.Path(folder) / "cells"
            while not cells.exists() or not list(cells.glob("*.json")):
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130)
            self.assertTrue(list(cells.glob("*.json")))

    def test_the_other_tables(self):
        with tempfile.TemporaryDirectory() as folder:
            self.evaluate(folder, "table2", "table3", "table6", "fig5", "fig9", "--model", MODEL,
                          "--datasets", "novel", "--contexts", 300, "--tokens", 24,
                          "--perplexity-protocol", "llama")
            found = report(folder)
            rows = found["table2"][0]["rows"]
            self.assertEqual([row["cache"] for row in rows], ["16 bits", "8 bits (target)"])
            self.assertLess(abs(rows[1]["difference"]), 0.1 * rows[0]["perplexity"])
            self.assertEqual(len(found["table3"][0]["rows"]), 5)
            self.assertEqual({cell["table"] for cell in found["cells"]},
                             {"table6", "fig5", "fig9"})

    def test_sampled_drafts_give_plain_output_too(self):
        with tempfile.TemporaryDirectory() as folder:
            self.evaluate(folder, *SMALL, "--examples", 1, "--temperature", 1)

    def test_wrong_usage(self):
        self.assert_fails(run("eval"), 2, "--model")
        self.assert_fails(run("eval", "tabel4", "--model", MODEL), 2, "table4")
        self.assert_fails(run("eval", "--model", MODEL, "--methods", "magic"), 2, "snapkv")
        self.assert_fails(run("eval", "--model", MODEL, "--shard", "4/3"), 2, "--shard")
        self.assert_fails(run("eval", "table4", "--model", MODEL, "--contexts", 4000), 1, "2048")
        self.assert_fails(run("eval", "--model", "none.gguf"), 1, "none.gguf")
        self.assert_fails(run("eval", "--report", "--out", "/dev/null/x"), 1, "/dev/null/x")

    def test_a_report_of_nothing_makes_no_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            mistyped = pathlib.Path(folder) / "mistyped"
            self.assert_fails(run("eval", "--report", "--out", mistyped), 1, "mistyped")
            self.assertFalse(mistyped.exists())

    def test_a_report_of_another_version_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            self.evaluate(folder, *SMALL, "--budget-s", 1, "--shard", "1/8")
            plan = pathlib.Path(folder) / "plan.jsonl"
            cells = [json.loads(line) for line in plan.read_text().splitlines()]
            plan.write_text("".join(json.dumps({**cell, "version": "0.0.1"}) + "\n"
                                    for cell in cells))
            self.assert_fails(run("eval", "--report", "--out", folder), 1, "0.0.1",
                              cells[0]["version"])

    def test_json_is_one_object_whatever_is_asked(self):
        with tempfile.TemporaryDirectory() as folder:
            plan = self.run_json("eval", *SMALL, "--plan", "--out", folder)["cells"]
            self.assertEqual(len(plan), 8)
            part = self.run_json("eval", *SMALL, "--cell", plan[0]["id"], "--out", folder)
            self.assertEqual((part["planned"], part["done"], part["cells"]),
                             (1, 1, [plan[0]["id"]]))
            part = self.run_json("eval", *SMALL, "--shard", "1/8", "--out", folder)
            self.assertEqual(part["cells"], [plan[0]["id"]])

    def test_ids_depend_on_the_files_of_the_data(self):
        ids = []
        for text in ("one", "two"):
            with tempfile.TemporaryDirectory() as data:
                (pathlib.Path(data) / "own.txt").write_text((text + " ") * 400)
                ids.append(run("eval", "table4", "--model", MODEL, "--data", data, "--contexts",
                               300, "--plan").stdout)
        self.assertNotEqual(*ids)

    def test_cells_that_cannot_run_do_not_end_the_comparison(self):
        with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(data)
            (data / "long.txt").write_text("A long text. " * 100)
            (data / "short.txt").write_text("Short.")
            # A name that is no UTF-8 is no obstacle either.
            with open(bytes(data) + b"/caf\xe9.txt", "w") as file:
                file.write("Another text. " * 100)
            for _ in range(2):
                self.evaluate(folder, "table4", "--model", MODEL, "--data", data, "--contexts",
                              "300", "--tokens", 8, "--examples", 1, "--gammas", 2)
            found = report(folder)
            self.assertEqual(found["done"], 3)
            self.assertEqual(len(found["skipped"]), 1)
            self.assertIn("short 300", found["skipped"][0])
            self.assertEqual({cell["dataset"] for cell in found["cells"]},
                             {"long", "caf\ufffd"})

    def test_needles_and_float_weights(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.evaluate(folder, "table4", "--model", MODEL, "--datasets", "needles",
                                 "--contexts", 1500, "--tokens", 8, "--examples", 1, "--gammas", 2,
                                 "--weights", "float")
            self.assertIn("plain-int4: is left out", done.stderr)
            cells = report(folder)["cells"]
            self.assertEqual({cell["method"] for cell in cells},
                             {"plain-bf16", "plain", "streaming", "snapkv", "ngram"})
            self.assertEqual({cell["score"] for cell in cells}, {0.0})


if __name__ == "__main__":
    harness.main()
