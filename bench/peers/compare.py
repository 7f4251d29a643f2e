#!/usr/bin/env python3
"""Runs QuantSpec and the engines a user could pick instead, in turn, on one model and one text.

    bench/peers/compare.py --model MODEL.gguf --text BOOK.txt [--llama-cpp] [--markdown]
    bench/peers/compare.py --shape llama-3.2-1b --accept 0.9 --depth 4096 --text BOOK.txt

Installs OpenVINO GenAI (and with --llama-cpp, llama-cpp-python compiled for this machine, which
takes minutes) from PyPI into virtual environments under QUANTSPEC_HOME. --shape writes a model with
random weights there; text means nothing to it, so QuantSpec speculates only with --accept, the
probability of a drafted token that is then assumed. Every round runs every engine once, so that the
ratios of medians come from one run. Memory is the peak resident set at the largest depth.
"""

import argparse
import collections
import json
import pathlib
import statistics
import sys

import engines
import report


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", help="a GGUF file")
    model.add_argument("--shape", choices=["llama-3.2-1b"], help="random weights of this shape")
    parser.add_argument("--text", required=True, help="a long text, UTF-8")
    parser.add_argument("--quantspec", type=pathlib.Path, metavar="PATH",
                        default=engines.ROOT / "build/release/quantspec")
    parser.add_argument("--own", default=[], type=str.split, metavar="OPTIONS",
                        help="more common options of quantspec, as one argument")
    parser.add_argument("--accept", metavar="P", help="simulate this acceptance")
    parser.add_argument("--llama-cpp", action="store_true", help="measure llama.cpp too")
    parser.add_argument("--llama-bench", action="append", default=[], metavar="[NAME=]PATH",
                        help="a llama-bench of llama.cpp or ik_llama.cpp; repeatable")
    parser.add_argument("--isa", choices=["avx2"], help="hold all engines to this instruction set "
                        "(not --llama-bench: name one that was built for it)")
    parser.add_argument("--launcher", default=[], type=str.split, metavar="COMMAND",
                        help="put in front of every engine's command, such as 'numactl -C 0-3'")
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--prefill", default=[512, 7000], type=int, nargs="+", metavar="TOKENS")
    parser.add_argument("--depth", default=[0, 4096, 8000], type=int, nargs="+", metavar="TOKENS",
                        help="tokens in the cache for decoding")
    parser.add_argument("--tokens", default=64, type=int, help="tokens to decode")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true")
    output.add_argument("--markdown", action="store_true")
    return parser.parse_args()


def run_rounds(options):
    """Results of every round by engine. A peer that fails is left out; QuantSpec may not fail."""
    peers = engines.peers_of(options)
    rounds = collections.defaultdict(list)
    memory = engines.own_memory(options)
    for index in range(options.rounds):
        print(f"round {index + 1} of {options.rounds}", file=sys.stderr)
        for name, result in engines.measure_own(options).items():
            rounds[name].append({**result, "peak_rss_bytes": memory})
        for name, measure in list(peers.items()):
            try:
                rounds[name].append(measure())
            except engines.EngineFailed as error:
                print(f"compare: {name} is left out: {error}", file=sys.stderr)
                del peers[name]
                rounds.pop(name, None)
    return rounds


def medians(results):
    first = results[0]

    def of(kind):
        return {str(count): statistics.median(result[kind][count] for result in results)
                for count in first[kind]}

    return {"version": first["version"], "note": first.get("note", ""),
            "prefill_tokens_per_s": of("prefill"), "decode_tokens_per_s": of("decode"),
            "peak_rss_bytes": statistics.median(r["peak_rss_bytes"] for r in results)}


def main():
    options = parse_arguments()
    options.depth = sorted(set(options.depth))
    options.prefill = sorted(set(options.prefill))
    try:
        if options.shape:
            options.model = engines.random_model(options.shape)
        summary = {name: medians(results) for name, results in run_rounds(options).items()}
    except engines.EngineFailed as error:
        sys.exit(f"compare: error: {error}")
    if options.json:
        print(json.dumps({
            "model": str(options.model), "threads": options.threads, "rounds": options.rounds,
            "tokens": options.tokens, "isa": options.isa, "accept": options.accept,
            "engines": summary, "ratios": report.ratios(summary)}))
    else:
        print(report.markdown(summary) if options.markdown else report.text(summary))


if __name__ == "__main__":
    main()
