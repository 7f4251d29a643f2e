#!/usr/bin/env python3
"""Runs QuantSpec and the engines a user could pick instead, in turn, on one model and one text.

    bench/peers/compare.py --model MODEL.gguf --text BOOK.txt [--llama-cpp] [--json]

Installs OpenVINO GenAI (and with --llama-cpp, llama-cpp-python compiled for this machine, which
takes minutes) from PyPI into virtual environments under QUANTSPEC_HOME. Every round runs every
engine once, so that the ratios of medians come from one run. Memory is the peak resident set.
"""

import argparse
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PLAIN = "quantspec, plain"
PEERS = {
    "openvino": ("openvino-genai==2026.4.1.0", "openvino_worker.py", {}),
    "llama.cpp": ("llama-cpp-python==0.3.36", "llama_cpp_worker.py",
                  {"CMAKE_ARGS": "-DGGML_NATIVE=ON"}),
}


def data_folder():
    share = os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share"
    return pathlib.Path(os.environ.get("QUANTSPEC_HOME") or pathlib.Path(share) / "quantspec")


def environment_of(peer):
    """The Python of the peer's virtual environment, made if it is missing."""
    package, _, variables = PEERS[peer]
    folder = data_folder() / "peers" / package
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        print(f"installing {package} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", package, "numpy"], check=True,
                       env={**os.environ, **variables})
        (folder / "ready").touch()
    return python


def run_measured(command):
    """Standard output of `command` and its peak resident set in bytes."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            sys.exit(f"compare: error: {' '.join(map(str, command))} failed:\n{errors.read()}")
        return out.read(), usage.ru_maxrss * 1024


def measure_peer(peer, options, round_index):
    command = [environment_of(peer), HERE / PEERS[peer][1], options.model, options.text,
               options.threads, 1000 * round_index, ",".join(map(str, options.prefill)),
               options.depth, options.tokens]
    out, peak = run_measured(command)
    result = json.loads(out.splitlines()[-1])
    prefill = {int(count): speed for count, speed in result["prefill"].items()}
    return {peer: {"version": result["version"], "prefill": prefill, "decode": result["decode"],
                   "peak_rss_bytes": peak}}


def run_bench(options, depths, gammas, tokens):
    """The lines of quantspec bench by (depth, gamma), and its peak resident set."""
    out, peak = run_measured([
        options.quantspec, "bench", "--model", options.model, "--file", options.text, "--threads",
        options.threads, "--depth", ",".join(map(str, depths)), "--tokens", tokens,
        "--gamma", gammas, "--repeat", 1, "--json", *options.own])
    lines = map(json.loads, out.splitlines())
    return {(line["depth"], line["gamma"]): line for line in lines}, peak


def measure_own(options):
    lines, _ = run_bench(options, options.prefill, "0", 1)
    prefill = {count: lines[count, 0]["prefill_tokens_per_s"] for count in options.prefill}
    lines, peak = run_bench(options, [options.depth], "0,auto", options.tokens)
    results = {}
    for name, gamma in ((PLAIN, 0), ("quantspec, gamma auto", "auto")):
        line = lines[options.depth, gamma]
        results[name] = {"version": line["isa"], "prefill": prefill, "peak_rss_bytes": peak,
                         "decode": line["decode_tokens_per_s"]["median"]}
    return results


def medians(rounds, options):
    return {
        "version": rounds[0]["version"],
        "prefill_tokens_per_s": {str(count): statistics.median(r["prefill"][count] for r in rounds)
                                 for count in options.prefill},
        "decode_tokens_per_s": statistics.median(r["decode"] for r in rounds),
        "peak_rss_bytes": statistics.median(r["peak_rss_bytes"] for r in rounds),
    }


def print_table(engines, options):
    columns = [f"prefill {count}" for count in options.prefill] + [f"decode at {options.depth}"]
    print(f"tokens/s, {options.threads} threads, medians of {options.rounds} rounds; "
          "in brackets: times QuantSpec's plain decoding")
    print(f"{'engine':22}{'version':>14}" + "".join(f"{c:>20}" for c in columns)
          + f"{'peak MB':>9}")
    own = engines[PLAIN]
    for name, engine in engines.items():
        cells = [(engine["prefill_tokens_per_s"][str(count)],
                  own["prefill_tokens_per_s"][str(count)]) for count in options.prefill]
        cells.append((engine["decode_tokens_per_s"], own["decode_tokens_per_s"]))
        print(f"{name:22}{engine['version']:>14}"
              + "".join(f"{speed:12.1f} ({speed / base:4.2f})" for speed, base in cells)
              + f"{engine['peak_rss_bytes'] / 1e6:9.0f}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True, help="a long text, UTF-8")
    parser.add_argument("--quantspec", default=ROOT / "build/release/quantspec", type=pathlib.Path)
    parser.add_argument("--own", default=[], type=str.split, help="more options of quantspec bench")
    parser.add_argument("--llama-cpp", action="store_true", help="measure llama.cpp too")
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--prefill", default=[512, 7000], type=int, nargs="+", metavar="TOKENS")
    parser.add_argument("--depth", default=8000, type=int, help="tokens in the cache for decoding")
    parser.add_argument("--tokens", default=64, type=int, help="tokens to decode")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    options = parse_arguments()
    peers = ["openvino", "llama.cpp"] if options.llama_cpp else ["openvino"]
    for peer in peers:
        environment_of(peer)
    rounds = collections.defaultdict(list)
    for index in range(options.rounds):
        print(f"round {index + 1} of {options.rounds}", file=sys.stderr)
        results = measure_own(options)
        for peer in peers:
            results.update(measure_peer(peer, options, index))
        for name, result in results.items():
            rounds[name].append(result)
    engines = {name: medians(results, options) for name, results in rounds.items()}
    if options.json:
        print(json.dumps({"model": options.model, "threads": options.threads,
                          "rounds": options.rounds, "depth": options.depth, "engines": engines}))
    else:
        print_table(engines, options)


if __name__ == "__main__":
    main()
