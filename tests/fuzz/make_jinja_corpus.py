#!/usr/bin/env python3
"""Writes the seeds of jinja_fuzz: the templates of ../golden/jinja.json, ten to a file, and some that fail.

Needs nothing but Python.
"""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "corpus" / "jinja"
JOINED = 10


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    cases = json.loads((HERE.parent / "golden" / "jinja.json").read_text())[1:]
    working = [case["source"] for case in cases if "text" in case]
    failing = [case["source"] for case in cases if "text" not in case]
    for kind, sources, joined in (("works", working, JOINED), ("fails", failing[::6], 1)):
        for i in range(0, len(sources), joined):
            text = "\n".join(sources[i:i + joined])
            (OUT / f"{kind}-{i:03}.jinja").write_bytes(text.encode("utf-8"))


if __name__ == "__main__":
    main()
