"""Ctrl-C keeps what was generated and ends with 130; a second one ends at once."""

import json
import signal
import time

import harness
from harness import MODEL, start, temporary_file

LONG = ["generate", "--model", MODEL, "--chat", "off", "--prompt", "Once upon a time",
        "--ignore-eos", "--max-tokens", 6000]


@harness.needs_model
class Interrupt(harness.ProgramTest):
    def test_text_that_was_generated_stays(self):
        process = start(*LONG)
        first = process.stdout.read(1)  # generation has begun
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=harness.LIMIT_S)
        self.assertEqual(process.returncode, 130, errors)
        self.assertTrue((first + rest).endswith(b"\n"))
        self.assertIn(b"interrupted", errors)

    def test_json_holds_what_was_generated(self):
        process = start(*LONG, "--json")
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=harness.LIMIT_S)
        self.assertEqual(process.returncode, 130, errors)
        done = json.loads(output)
        self.assertEqual(done["finish_reason"], "interrupted")
        self.assertEqual(done["generated_tokens"], len(done["tokens"]))

    def test_reading_a_long_prompt_can_be_interrupted(self):
        with temporary_file("many different words follow " * 1500) as path:
            process = start("generate", "--model", MODEL, "--file", path, "--json", "--threads", 1)
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            begun = time.monotonic()
            output, errors = process.communicate(timeout=harness.LIMIT_S)
            self.assertEqual(process.returncode, 130, errors)
            if output:  # not while loading
                done = json.loads(output)
                self.assertEqual(done["finish_reason"], "interrupted")
                self.assertEqual(done["tokens"], [])
            self.assertLess(time.monotonic() - begun, 60)

    def test_a_second_one_ends_at_once(self):
        process = start(*LONG)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=harness.LIMIT_S)
        self.assertEqual(process.returncode, 130)


if __name__ == "__main__":
    harness.main()
