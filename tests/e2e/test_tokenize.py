"""quantspec tokenize: there and back."""

import json

import harness
from harness import MODEL, run, temporary_file


@harness.needs_model
class Tokenize(harness.ProgramTest):
    def tokenize(self, *arguments, **options):
        return self.run_json("tokenize", "--model", MODEL, *arguments, **options)

    def test_there_and_back(self):
        text = "Call me Ishmael. Some years ago \u2014 never mind \U0001F433\n  12345\t."
        there = self.tokenize("--prompt", text)
        self.assertEqual(set(there), {"tokens", "text"})
        self.assertEqual(there["text"], text)
        ids = " ".join(map(str, there["tokens"]))
        self.assertEqual(self.tokenize("--decode", "--prompt", ids)["text"], text)
        done = run("tokenize", "--model", MODEL, "--decode", text=json.dumps(there["tokens"]))
        self.assertEqual(done.stdout, text)

    def test_text_mode_prints_ids(self):
        done = run("tokenize", "--model", MODEL, "--prompt", "Hello world")
        ids = self.tokenize("--prompt", "Hello world")["tokens"]
        self.assertEqual(done.stdout, " ".join(map(str, ids)) + "\n")

    def test_files_and_standard_input(self):
        with temporary_file("Hello ") as path:
            both = self.tokenize("--file", path, "--prompt", "world")
        self.assertEqual(both["tokens"], self.tokenize("--file", "-", text="Hello world")["tokens"])

    def test_names_of_special_tokens_are_text_unless_asked_for(self):
        text = "<|im_end|>"
        self.assertGreater(len(self.tokenize("--prompt", text)["tokens"]), 1)
        self.assertEqual(self.tokenize("--prompt", text, "--special")["tokens"], [2])

    def test_any_bytes_are_taken(self):
        # A vocabulary may lack rare bytes, so only the others must come back.
        with temporary_file(bytes(range(256)) + b"plain") as path:
            ids = self.tokenize("--file", path)["tokens"]
        done = run("tokenize", "--model", MODEL, "--decode", text=json.dumps(ids))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.raw_stdout.endswith(b"plain"))

    def test_nothing_is_no_tokens(self):
        self.assertEqual(self.tokenize("--prompt", "")["tokens"], [])
        self.assert_fails(run("tokenize", "--model", MODEL), 2, "--prompt")

    def test_bad_ids_are_refused(self):
        for bad in ("99999999", "-1", "1 2 x", "999999999999999999999"):
            self.assert_fails(run("tokenize", "--model", MODEL, "--decode", "--prompt", bad), 2,
                              "--decode")


if __name__ == "__main__":
    harness.main()
