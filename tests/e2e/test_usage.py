"""Options: what is wrong is named, with what was meant; nothing is loaded first."""

import unittest

import harness
from harness import run

COMMANDS = ["generate", "chat", "tokenize", "inspect", "quality", "bench"]


class Usage(harness.ProgramTest):
    def test_help_of_every_command_shows_examples(self):
        for command in COMMANDS:
            done = run(command, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn("Examples:\n  quantspec " + command, done.stdout.replace(
                "cat notes.txt | ", "").replace("printf 'Hello\\nTell me more\\n' | ", ""))
            self.assertEqual(done.stderr, "")

    def test_help_lists_the_commands(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for command in COMMANDS:
            self.assertIn(command, done.stdout)

    def test_version_is_printed(self):
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^quantspec \d+\.\d+\.\d+\n$")

    def test_no_command_and_unknown_commands_are_wrong_usage(self):
        self.assert_fails(run(), 2, "no command")
        self.assert_fails(run("genrate"), 2, "'genrate'", "'generate'")

    def test_unknown_options_name_the_nearest_one(self):
        for typo, meant in [("--gama", "--gamma"), ("--max-token", "--max-tokens"),
                            ("--tempreature=1", "--temperature"), ("--promt", "--prompt")]:
            self.assert_fails(run("generate", typo, "4"), 2, typo.split("=")[0], f"'{meant}'")
        self.assert_fails(run("--gamma", "4"), 2, "--gamma")

    def test_left_over_arguments_are_wrong_usage(self):
        self.assert_fails(run("generate", "--prompt", "a", "b"), 2, "'b'")
        self.assert_fails(run("inspect", "a", "b"), 2, "'b'")

    def test_values_out_of_range_say_what_was_expected(self):
        cases = [("--gamma", "99", "0 to 16"), ("--gamma", "-1", "0 to 16"),
                 ("--gamma", "two", "auto"), ("--threads", "-1", "1 to"),
                 ("--threads", "0", "1 to"), ("--context", "1e12", "whole number"),
                 ("--context", "99999999999999999999", "1 to"), ("--context", "-5", "1 to"),
                 ("--temperature", "nan", "0 to 100"), ("--temperature", "-1", "0 to 100"),
                 ("--top-p", "1.5", "0 to 1"), ("--min-p", "inf", "0 to 1"),
                 ("--top-k", "-3", "0 to"), ("--repeat-penalty", "0", "0.01 to 100"),
                 ("--seed", "-1", "2^64"), ("--max-tokens", "0", "1 to"),
                 ("--weights", "fp8", "auto, nested, bf16 or float"),
                 ("--group", "48", "32, 64 or 128"), ("--cache", "none", "hierarchical or full"),
                 ("--draft-exact-layers", "-1", "auto or a whole number from 0"),
                 ("--draft-exact-layers", "two", "auto or a whole number from 0"),
                 ("--draft-context", "-1", "auto, all, a number of tokens"),
                 ("--draft-context", "most", "auto, all, a number of tokens"),
                 ("--verify", "x", "coupled or rejection"), ("--chat", "maybe", "auto, on or off"),
                 ("--stop", "", "at least")]
        for option, value, expected in cases:
            self.assert_fails(run("generate", "--prompt", "x", option, value), 2, option, expected)

    def test_an_empty_value_is_a_value(self):
        tiny = ["generate", "--model", harness.TINY_MODELS / "llama-gqa.gguf", "--max-tokens", 2]
        done = run(*tiny, "--chat", "off", "--prompt=x", "--system=", "--quiet")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assert_fails(run(*tiny, "--prompt=x", "--stop=", "--temperature=1.5"), 2, "--stop",
                          "empty text")
        with harness.temporary_file("A document.") as path:
            given = run(*tiny, "--chat", "off", "--quiet", "--prompt=", f"--file={path}")
            self.assertEqual((given.returncode, given.stderr), (0, ""))
            alone = run(*tiny, "--chat", "off", "--quiet", f"--file={path}")
            self.assertEqual(given.stdout, alone.stdout)
        self.assert_fails(run(*tiny, "--prompt", "x", "--temperature=", "--quiet"), 2,
                          "--temperature: found ''")
        self.assert_fails(run(*tiny, "--prompt", "x", "--quiet="), 2, "''")

    def test_lists_of_bench_are_checked(self):
        self.assert_fails(run("bench", "--depth", "1,,2"), 2, "--depth")
        self.assert_fails(run("bench", "--gamma", "auto,77"), 2, "--gamma", "'77'")
        self.assert_fails(run("bench", "--accept", "2"), 2, "--accept")
        self.assert_fails(run("bench", "--repeat", "0"), 2, "--repeat")

    def test_missing_values_and_models_are_wrong_usage(self):
        self.assert_fails(run("generate", "--gamma"), 2, "--gamma")
        for command in COMMANDS:
            done = run(command, "--file", __file__) if command not in ("inspect",) else run(command)
            self.assertEqual(done.returncode, 2, done.stderr)

    def test_unknown_shapes_name_the_known_ones(self):
        self.assert_fails(run("bench", "--shape", "llama-9"), 1, "llama-9", "llama-3.2-1b")

    def test_an_unknown_instruction_set_is_refused(self):
        import os
        os.environ["QUANTSPEC_ISA"] = "sse9"
        try:
            self.assert_fails(run("bench", "--shape", "smollm2-135m", "--depth", "0"), 1, "sse9")
        finally:
            del os.environ["QUANTSPEC_ISA"]


if __name__ == "__main__":
    harness.main()
