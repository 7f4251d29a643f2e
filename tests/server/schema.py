"""Holds a running server against apps/server/openapi.yaml with schemathesis, by hand:

    pip install schemathesis
    QUANTSPEC_EXECUTABLE=build/release/quantspec python3 tests/server/schema.py [EXAMPLES [SEED]]

Every phase, EXAMPLES (default 400) requests of each path and phase, right and wrong ones: no 5xx,
no status, type or shape of an answer that the file does not name, nothing wrong that is taken. Two
refusals that it may report are right, and JSON Schema cannot say them: more than 64 answers to
several prompts, and numbers beyond 63 bits anywhere.
"""

import pathlib
import subprocess
import sys
import tempfile

from server_harness import Server

# What depends on the model: its vocabulary.
TOKEN = ("Token: {type: integer, minimum: 0,", "Token: {type: integer, minimum: 0, maximum: 259,")
NAME = ('pattern: "^[0-9]+$"', 'pattern: "^(1?[0-9]?[0-9]|2[0-5][0-9])$"')
API = pathlib.Path(__file__).resolve().parents[2] / "apps" / "server" / "openapi.yaml"


def main():
    examples, seed = (sys.argv[1:] + ["400", "1"][len(sys.argv) - 1:])[:2]
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    # Short answers, so that time goes into requests.
    with Server("--max-tokens", 4, "--log", "none") as server, \
            tempfile.TemporaryDirectory() as folder:
        text = API.read_text()
        for found, put in (TOKEN, NAME):
            assert text.count(found) == 1, found
            text = text.replace(found, put)
        api = pathlib.Path(folder, "openapi.yaml")
        api.write_text(text)
        done = subprocess.run(
            [program, "run", api, "--url", f"http://127.0.0.1:{server.port}", "--checks", "all",
             "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", examples,
             "--seed", seed, "--continue-on-failure", "--generation-database", "none",
             "--warnings", "off", "--suppress-health-check", "all"], cwd=folder, check=False)
        code = server.stop()
    if code != 0:
        print(f"the server ended with {code}: {server.log()}")
    sys.exit(done.returncode or code)


if __name__ == "__main__":
    main()
