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

    @harness.needs_model
    def test_what_was_generated_is_found_if_asked_for(self):
        text = "It was a bright cold day, and the clocks were striking. " * 24

        def ask(prompt, *options):
            return self.run_json("generate", "--model", harness.MODEL, "--chat", "off", "--prompt",
                                 prompt, "--max-tokens", 260, "--ignore-eos", "--quiet", *options)
        first = ask(text, "--reuse", "all", "--prompt-store", self.store)
        longer = text + first["text"] + " And then?"
        known = (first["prompt_tokens"] + first["generated_tokens"] - 1) // 256 * 256
        read = first["prompt_tokens"] // 256 * 256
        self.assertGreater(known, read)
        found = ask(longer, "--reuse", "all", "--prompt-store", self.store, "--gamma", 0)
        self.assertEqual((found["cached_tokens"], found["reuse"]), (known, "all"))
        by_default = ask(longer, "--prompt-store", self.store)
        self.assertEqual((by_default["cached_tokens"], by_default["reuse"]), (read, "prompts"))
        cold = ask(longer)
        self.assertEqual(by_default["tokens"], cold["tokens"])
        self.assertEqual(by_default["cache_digest"], cold["cache_digest"])
        self.assertNotEqual(found["cache_digest"], cold["cache_digest"])

    @harness.needs_model
    def test_chat_keeps_its_answers(self):
        def files(*options):
            folder = self.store.parent / f"store{len(options)}"
            line = "Tell me more of this. " * 40 + "\n"
            done = run("chat", "--model", harness.MODEL, "--quiet", "--max-tokens", 260,
                       "--ignore-eos", "--context", 1024, "--prompt-store", folder, *options,
                       text=line)
            self.assertEqual(done.returncode, 0, done.stderr)
            return len(list(folder.rglob("*.qsg")))
        self.assertGreater(files(), files("--reuse", "prompts"))

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
        done = run("generate", "--model", TINY, "--prompt", "x", "--reuse", "some")
        self.assert_fails(done, 2, "--reuse: found 'some', expected prompts or all")
        done = run("generate", "--model", TINY, "--prompt", "x", "--prompt-store-bytes", "lots")
        self.assert_fails(done, 2, "--prompt-store-bytes")
        done = run("generate", "--model", TINY, "--prompt", "x", "--prompt-store", self.store,
                   "--prompt-store-bytes", "1K")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("prompt_store_bytes", done.stderr)


if __name__ == "__main__":
    harness.main()
