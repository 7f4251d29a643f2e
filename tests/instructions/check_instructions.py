#!/usr/bin/env python3
"""Instructions of the main kernels, counted by valgrind, against recorded counts.

    check_instructions.py --program KERNEL_CALLS --isa ISA --compiler "NAME VERSION"
                          --target PROCESSOR --recorded FILE [--record] [--valgrind PROGRAM]
    check_instructions.py --self-test

Exits 1, with a line a case, if a kernel executes over 3 % more instructions than FILE says; a case
that got far cheaper is only noted. Exits 77 (skipped) without valgrind, where the program has no
such ISA, and with another compiler or processor than FILE was recorded with. --record writes FILE
instead. The self-test proves, with a valgrind of its own making, that slower kernels are noticed.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MOST_MORE = 3  # per cent
NOTED_LESS = 10
SKIPPED = 77
RECORD = "cmake --build --preset release --target record_instructions"
FUNCTION = "MeasuredCall"  # of kernel_calls.cc


class Skip(Exception):
    """The check cannot be made here, and why."""


class Wrong(Exception):
    """What kept the counts from being taken."""


def count(valgrind, program, isa):
    """Instructions of every case that `program` runs: {name: count}, in its order."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "dump"
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={out}",
                   f"--toggle-collect={FUNCTION}", f"--dump-after={FUNCTION}", program, isa]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode == SKIPPED:
            raise Skip(f"no {isa} on this CPU under valgrind")
        if run.returncode != 0:
            raise Wrong(f"exit status {run.returncode} of: {' '.join(command)}\n{run.stderr}")
        names = run.stdout.split()
        dumps = sorted(pathlib.Path(folder).glob("dump.*"), key=lambda p: int(p.suffix[1:]))
        if len(dumps) != len(names) or len(set(names)) != len(names) or not names:
            raise Wrong(f"{len(names)} cases and {len(dumps)} dumps of {FUNCTION}")
        counts = {}
        for name, dump in zip(names, dumps):
            total = re.search(r"^summary: (\d+)$", dump.read_text(), re.MULTILINE)
            counts[name] = int(total.group(1)) if total else 0
            if counts[name] == 0:
                raise Wrong(f"{name}: nothing was counted")
        return counts


def compare(counts, recorded, isa):
    """(failures, notes), a line each."""
    failures, notes = [], []
    for name in sorted(counts.keys() | recorded.keys()):
        if name not in recorded:
            failures.append(f"{isa} {name}: {counts[name]} instructions, none recorded")
        elif name not in counts:
            failures.append(f"{isa} {name}: recorded, but no longer a case")
        else:
            change = 100 * (counts[name] - recorded[name]) / recorded[name]
            line = (f"{isa} {name}: {counts[name]} instructions, recorded {recorded[name]} "
                    f"({change:+.1f} %")
            if change > MOST_MORE:
                failures.append(f"{line}, at most {MOST_MORE:+} %)")
            elif change < -NOTED_LESS:
                notes.append(f"{line}; record the gain)")
    return failures, notes


def check(options):
    valgrind = shutil.which(options.valgrind)
    if valgrind is None:
        raise Skip("no valgrind; scripts/setup installs it")
    compiler = f"{options.compiler} {options.target}"
    if options.record:
        counts = count(valgrind, options.program, options.isa)
        data = {"compiler": compiler, "instructions": counts}
        options.recorded.write_text(json.dumps(data, indent=2) + "\n")
        print(f"recorded {len(counts)} cases of {options.isa} in {options.recorded}")
        return 0
    if not options.recorded.exists():
        raise Wrong(f"there is no {options.recorded}; record it: {RECORD}")
    data = json.loads(options.recorded.read_text())
    if data["compiler"] != compiler:
        raise Skip(f"{options.recorded.name} is of {data['compiler']}, this is {compiler}")
    counts = count(valgrind, options.program, options.isa)
    failures, notes = compare(counts, data["instructions"], options.isa)
    for line in failures + notes:
        print(line)
    if failures or notes:
        print(f"If that is intended, record it: {RECORD}")
    else:
        print(f"{options.isa}: {len(counts)} cases as recorded")
    return 1 if failures else 0


def run(arguments):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("program", "isa", "compiler", "target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--recorded", required=True, type=pathlib.Path)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--valgrind", default="valgrind")
    try:
        return check(parser.parse_args(arguments))
    except Skip as why:
        print(f"skipped: {why}")
        return SKIPPED
    except Wrong as what:
        print(what)
        return 1


# Stands in for valgrind: "measures" the counts of a file named as the program to run.
STAND_IN = """#!{python}
import json, sys
out = [a.split("=", 1)[1] for a in sys.argv if a.startswith("--callgrind-out-file=")][0]
for index, (name, total) in enumerate(json.load(open(sys.argv[-2])).items()):
    if name == "exit":
        sys.exit(total)
    if total is not None:
        open(out + "." + str(index + 1), "w").write("events: Ir\\nsummary: %d\\n" % total)
    print(name)
"""
RECORDED = {f"case{i}": 1000 for i in range(12)}  # over nine: dump.10 comes after dump.9
# What a run finds, and the exit status and a part of the output it must lead to.
SITUATIONS = {
    "the same": (RECORDED, 0, "12 cases as recorded"),
    "within the margin": ({**RECORDED, "case10": 1030}, 0, "12 cases as recorded"),
    "slower": ({**RECORDED, "case10": 1031}, 1,
               "avx2 case10: 1031 instructions, recorded 1000 (+3.1 %, at most +3 %)"),
    "how to record": ({**RECORDED, "case1": 2000}, 1, RECORD),
    "faster": ({**RECORDED, "case9": 890}, 0,
               "avx2 case9: 890 instructions, recorded 1000 (-11.0 %; record the gain)"),
    "a new case": ({**RECORDED, "other": 5}, 1, "avx2 other: 5 instructions, none recorded"),
    "a lost case": ({"case0": 1000}, 1, "avx2 case1: recorded, but no longer a case"),
    "nothing counted": ({**RECORDED, "case3": 0}, 1, "case3: nothing was counted"),
    "a lost dump": ({**RECORDED, "case3": None}, 1, "12 cases and 11 dumps"),
    "no case": ({}, 1, "0 cases and 0 dumps"),
    "a crash": ({"exit": 3}, 1, "exit status 3"),
    "no such ISA": ({"exit": SKIPPED}, SKIPPED, "skipped: no avx2"),
}


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        stand_in, program, recorded = (pathlib.Path(folder) / n for n in ("valgrind", "p", "r"))
        stand_in.write_text(STAND_IN.format(python=sys.executable))
        stand_in.chmod(0o755)

        def expect(name, status, text, *more, valgrind=str(stand_in), compiler="GNU 1"):
            command = [sys.executable, __file__, "--program", str(program), "--isa", "avx2",
                       "--compiler", compiler, "--target", "x", "--recorded", str(recorded)]
            done = subprocess.run([*command, *more, f"--valgrind={valgrind}"],
                                  capture_output=True, text=True, check=False)
            if done.returncode != status or text not in done.stdout:
                failures.append(f"{name}: status {done.returncode}, {done.stdout}{done.stderr}")

        program.write_text(json.dumps(RECORDED))
        expect("nothing recorded", 1, RECORD)
        expect("recording", 0, "recorded 12 cases", "--record")
        if json.loads(recorded.read_text()) != {"compiler": "GNU 1 x", "instructions": RECORDED}:
            failures.append(f"recording: wrote {recorded.read_text()}")
        expect("another compiler", SKIPPED, "r is of GNU 1 x, this is GNU 2 x", compiler="GNU 2")
        expect("no valgrind", SKIPPED, "skipped: no valgrind", valgrind="none-of-this-name")
        for name, (found, status, text) in SITUATIONS.items():
            program.write_text(json.dumps(found))
            expect(name, status, text)
    return failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        failures = self_test()
        print("\n".join(failures) or "every slowdown was noticed")
        sys.exit(1 if failures else 0)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
