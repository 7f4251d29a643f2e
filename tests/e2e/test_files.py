"""Model files and documents that are missing, broken or not what they claim to be."""

import os
import pathlib
import random
import subprocess

import harness
from harness import MODEL, run, temporary_file

TINY = harness.TINY_MODELS / "llama-gqa.gguf"


class ModelFiles(harness.ProgramTest):
    def test_missing_empty_and_foreign_files_are_named(self):
        for command in (["inspect"], ["generate", "--prompt", "x", "--model"], ["chat", "--model"]):
            self.assert_fails(run(*command, "/nonexistent.gguf"), 1, "/nonexistent.gguf")
            self.assert_fails(run(*command, "/"), 1)
            with temporary_file(b"", ".gguf") as path:
                self.assert_fails(run(*command, path), 1, str(path))
            with temporary_file("Call me Ishmael.", ".gguf") as path:
                self.assert_fails(run(*command, path), 1, str(path))

    def test_truncated_files_are_refused_at_any_length(self):
        data = TINY.read_bytes()
        lengths = [1, 4, 8, 16, 23, 24, 25, 100, 500, 2000, len(data) // 2, len(data) - 1]
        for length in lengths:
            with temporary_file(data[:length], ".gguf") as path:
                self.assert_fails(run("inspect", path), 1, str(path))

    def test_flipped_bits_never_crash(self):
        data = TINY.read_bytes()
        chance = random.Random(1)
        for _ in range(40):
            broken = bytearray(data)
            for _ in range(3):
                broken[chance.randrange(4096)] ^= 1 << chance.randrange(8)
            with temporary_file(bytes(broken), ".gguf") as path:
                done = run("generate", "--model", path, "--chat", "off", "--prompt", "x",
                           "--max-tokens", 2, "--quiet")
                self.assertIn(done.returncode, (0, 1), done.stderr)

    def test_sizes_that_overflow_are_refused(self):
        data = bytearray(TINY.read_bytes())
        for offset in (8, 16):  # counts of tensors and of metadata
            broken = bytearray(data)
            broken[offset:offset + 8] = b"\xff" * 8
            with temporary_file(bytes(broken), ".gguf") as path:
                self.assert_fails(run("inspect", path), 1, str(path))


class EmptyDocuments(harness.ProgramTest):
    def test_an_empty_document_is_noted(self):
        with temporary_file("") as path:
            command = ["generate", "--model", TINY, "--chat", "off", "--max-tokens", 2, "--file", path]
            done = run(*command, "--prompt", "x")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"note: {path} is empty", done.stderr)
            self.assertEqual(run(*command, "--prompt", "x", "--quiet").stderr, "")
            self.assert_fails(run(*command), 2, "nothing to answer")


class LimitedMemory(harness.ProgramTest):
    """What `ulimit -v` leaves is what there is."""

    LIMIT = 230_000 * 1024

    def limited(self, *arguments):
        import resource
        import subprocess
        return subprocess.run([harness.PROGRAM, *map(str, arguments)], capture_output=True,
                              text=True, input="Hello\n", timeout=harness.LIMIT_S, check=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS,
                                                                    (self.LIMIT, self.LIMIT)))

    def test_the_limit_of_address_space_is_what_is_available(self):
        import json
        done = self.limited("inspect", TINY, "--json", "--threads", 1)
        if done.returncode != 0 and "Sanitizer" in done.stderr:
            self.skipTest("sanitizers take more address space than that")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(json.loads(done.stdout)["available_bytes"], self.LIMIT)

    @harness.needs_model
    def test_the_largest_context_that_fits_is_offered(self):
        if self.limited("--version").returncode != 0:
            self.skipTest("sanitizers take more address space than that")
        # Threads take address space beside what the plan counts: generate says what is left then.
        done = self.limited("generate", "--model", MODEL, "--prompt", "x", "--context", 8192,
                            "--max-tokens", 2, "--threads", 2)
        self.assert_fails(done, 1, "context of 8192 tokens", "largest context that fits is")
        done = self.limited("chat", "--model", MODEL, "--max-tokens", 2, "--threads", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the most that fits into memory", done.stderr)
        done = self.limited("chat", "--model", MODEL, "--threads", 1000)
        self.assert_fails(done, 1, "not enough memory", "fewer threads")


@harness.needs_model
class Documents(harness.ProgramTest):
    def generate(self, *arguments, **options):
        return run("generate", "--model", MODEL, "--max-tokens", 2, *arguments, **options)

    def test_a_missing_document_is_named(self):
        self.assert_fails(self.generate("--file", "/nonexistent.txt"), 1, "/nonexistent.txt")
        self.assert_fails(self.generate("--file", "/"), 1, "/")

    def test_a_binary_document_is_refused_and_says_where(self):
        with temporary_file(b"abc\0def") as path:
            self.assert_fails(self.generate("--file", path), 1, str(path), "byte 3")
        with temporary_file(bytes(range(128, 256)) * 4) as path:
            self.assert_fails(self.generate("--file", path), 1, str(path), "UTF-8")
        self.assert_fails(self.generate("--file", MODEL), 1, "byte")

    def test_slightly_invalid_text_passes_with_a_warning(self):
        with temporary_file(b"caf\xe9 " + b"and plain words " * 20) as path:
            done = self.generate("--file", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("warning", done.stderr)
            self.assertIn("byte 3", done.stderr)
            self.assertEqual(self.generate("--file", path, "--quiet").stderr, "")

    def test_nothing_to_answer_is_wrong_usage(self):
        self.assert_fails(self.generate(), 2, "--prompt")
        self.assert_fails(self.generate("--prompt", ""), 2)
        with temporary_file("") as path:
            self.assert_fails(self.generate("--file", path), 2, "empty")

    def test_standard_input_is_read_once(self):
        done = self.generate("--file", "-", "--prompt", "?", text="A document.", )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_fails(self.generate("--file", "-", "--file", "-"), 2, "once")

    def test_a_prompt_longer_than_the_context_says_how_many_tokens(self):
        with temporary_file("word " * 300) as path:
            self.assert_fails(self.generate("--file", path, "--context", 100), 1, "100",
                              "--context", "tokens")
        with temporary_file("word " * 9000) as path:
            self.assert_fails(self.generate("--file", path), 1, "8192", "shorten")

    def test_a_context_beyond_the_model_is_refused(self):
        self.assert_fails(self.generate("--prompt", "x", "--context", 100000), 1, "8192")

    def test_a_truncated_model_is_refused_at_once(self):
        with open(MODEL, "rb") as file:
            head = file.read(5 << 20)
        with temporary_file(head, ".gguf") as path:
            done = run("generate", "--model", path, "--prompt", "x", limit_s=20)
            self.assert_fails(done, 1, str(path))
            self.assertEqual(pathlib.Path(path).stat().st_size, 5 << 20)

    def test_a_model_cut_while_it_is_used_is_an_error_that_names_it(self):
        with temporary_file(pathlib.Path(MODEL).read_bytes(), ".gguf") as path:
            chat = harness.start("chat", "--model", path, "--max-tokens", 4, "--quiet",
                                 stdin=subprocess.PIPE)
            chat.stdin.write(b"Hello\n")
            chat.stdin.flush()
            self.assertTrue(chat.stdout.read(1))
            os.truncate(path, 4096)
            _, errors = chat.communicate(b"Go on\n", timeout=harness.LIMIT_S)
            self.assertEqual(chat.returncode, 1, errors)
            self.assertIn(f"quantspec: error: {path}: ", errors.decode())


if __name__ == "__main__":
    harness.main()
