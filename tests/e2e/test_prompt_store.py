"""What was read of a prompt is found again by later runs, and never changes an answer."""

import pathlib
import resource
import stat
import tempfile

import harness
from harness import run

TINY = harness.TINY_MODELS / "llama-long.gguf"
TEXT = "".join(chr(97 + i * 7 % 26) for i in range(700))


class PromptStore(harness.ProgramTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = pathlib.Path(folder.name) / "store"

    def answer(self, *options, text=TEXT):
        return self.run_json("generate", "--model", TINY, "--chat", "off", "--prompt", text,
                             "--max-tokens", 12, "--quiet", *options)

    def test_a_second_run_reads_only_what_is_new(self):
        cold = self.answer()
        first = self.answer("--prompt-store", self.store)
        second = self.answer("--prompt-store", self.store)
        self.assertEqual(first["cached_tokens"], 0)
        self.assertEqual(second["cached_tokens"], 512)
        for key in ("tokens", "cache_digest", "text"):
            self.assertEqual(first[key], cold[key])
            self.assertEqual(second[key], cold[key])
        other = self.answer("--prompt-store", self.store, "--weights", "nested")
        self.assertEqual(other["cached_tokens"], 0)
        longer = self.answer("--prompt-store", self.store, text=TEXT + TEXT)
        self.assertEqual(longer["cached_tokens"], 512)

    def test_nobody_else_may_read_it(self):
        self.answer("--prompt-store", self.store)
        for path in [self.store, *self.store.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            self.assertEqual(mode, 0o700 if path.is_dir() else 0o600, path)

    def test_a_full_disk_costs_one_warning(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        process = harness.start("generate", "--model", TINY, "--chat", "off", "--prompt", TEXT,
                                "--max-tokens", 200, "--prompt-store", self.store,
                                preexec_fn=limit)
        out, err = process.communicate(timeout=harness.LIMIT_S)
        self.assertEqual(process.returncode, 0, err)
        self.assertTrue(out)
        self.assertLessEqual(err.count(b"warning: "), 1, err)
        self.assertEqual([path.name for path in self.store.rglob("*.qsg")], [])

    def test_wrong_use_is_refused(self):
        with harness.temporary_file("text") as path:
            done = run("generate", "--model", TINY, "--prompt", "x", "--prompt-store", path)
            self.assert_fails(done, 1, str(path), "prompt store")
        done = run("generate", "--model", TINY, "--prompt", "x", "--prompt-store-bytes", "lots")
        self.assert_fails(done, 2, "--prompt-store-bytes")
        done = run("generate", "--model", TINY, "--prompt", "x", "--prompt-store", self.store,
                   "--prompt-store-bytes", "1K")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("prompt_store_bytes", done.stderr)


if __name__ == "__main__":
    harness.main()
