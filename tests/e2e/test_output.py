"""A full disk and a closed pipe on standard output end the program with a message."""

import os
import subprocess

import harness
from harness import MODEL, PROGRAM, start

FULL = "/dev/full"


class Output(harness.ProgramTest):
    def to_full_disk(self, *arguments):
        with open(FULL, "wb") as full:
            return subprocess.run([PROGRAM, *map(str, arguments)], stdout=full,
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                  timeout=harness.LIMIT_S, check=False, text=True)

    def test_a_full_disk_is_reported_by_small_output(self):
        if not os.path.exists(FULL):
            self.skipTest(f"no {FULL} here")
        self.assert_fails(self.to_full_disk("--help"), 1, "standard output", "No space")
        self.assert_fails(self.to_full_disk("--version"), 1, "standard output")
        tiny = harness.TINY_MODELS / "llama-gqa.gguf"
        self.assert_fails(self.to_full_disk("inspect", tiny), 1, "standard output")
        self.assert_fails(self.to_full_disk("inspect", tiny, "--json"), 1, "standard output")

    @harness.needs_model
    def test_a_full_disk_stops_generation(self):
        arguments = ["generate", "--model", MODEL, "--prompt", "Hello", "--max-tokens", 500]
        self.assert_fails(self.to_full_disk(*arguments), 1, "standard output")
        self.assert_fails(self.to_full_disk(*arguments[:-1], 4, "--json"), 1, "standard output")

    @harness.needs_model
    def test_a_closed_pipe_stops_generation(self):
        process = start("generate", "--model", MODEL, "--chat", "off", "--prompt", "Once",
                        "--ignore-eos", "--max-tokens", 4000)
        process.stdout.read(1)
        process.stdout.close()
        errors = process.stderr.read().decode()
        self.assertEqual(process.wait(timeout=harness.LIMIT_S), 1, errors)
        self.assertIn("quantspec: error: cannot write to standard output", errors)
        process.stderr.close()


if __name__ == "__main__":
    harness.main()
