"""Runs the quantspec program as a user would; shared by the tests beside it.

QUANTSPEC_EXECUTABLE names the program, QUANTSPEC_TEST_MODEL the demo model.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ.get("QUANTSPEC_EXECUTABLE", "")
MODEL = os.environ.get("QUANTSPEC_TEST_MODEL", "")
TINY_MODELS = pathlib.Path(__file__).resolve().parent.parent / "golden" / "models"
LIMIT_S = 300  # of one run; generous, for sanitized builds


def run(*arguments, text=None, data=None, limit_s=LIMIT_S):
    """Result of `quantspec arguments...`; stdout and stderr are text."""
    if text is not None:
        data = text.encode()
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=data if data is not None else b"",
                          capture_output=True, timeout=limit_s, check=False)
    done.raw_stdout = done.stdout
    done.stdout = done.stdout.decode(errors="replace")
    done.stderr = done.stderr.decode(errors="replace")
    return done


def start(*arguments, **options):
    """The running program, with pipes for stdout and stderr."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
               "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([PROGRAM, *map(str, arguments)], **options)


@contextlib.contextmanager
def temporary_file(data, suffix=".txt"):
    """Path of a file that holds `data`, text or bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / ("file" + suffix)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        yield path


class ProgramTest(unittest.TestCase):
    def assert_fails(self, done, code, *words):
        """Ended with `code` and one error line that contains all of `words`."""
        self.assertEqual(done.returncode, code, done.stderr)
        lines = [line for line in done.stderr.splitlines() if ": error: " in line]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("quantspec: error: "), lines[0])
        for word in words:
            self.assertIn(word, lines[0])

    def run_json(self, *arguments, **options):
        """The one JSON object on stdout of a run that succeeded."""
        done = run(*arguments, "--json", **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1, "one line")
        return json.loads(done.stdout)


def needs_model(test):
    """The test or class is skipped without the demo model."""
    return unittest.skipUnless(MODEL, "QUANTSPEC_TEST_MODEL is not set")(test)


def main():
    if not PROGRAM:
        sys.exit("QUANTSPEC_EXECUTABLE is not set")
    result = unittest.main(exit=False, verbosity=2).result
    if result.wasSuccessful() and result.skipped and len(result.skipped) == result.testsRun:
        print("skipped: QUANTSPEC_TEST_MODEL does not name the demo model")
        sys.exit(77)
    sys.exit(not result.wasSuccessful())
