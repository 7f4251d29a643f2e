"""How compare.py runs each engine once. A result has version, prefill and decode (tokens/s by
number of tokens), peak_rss_bytes and sometimes a note; sizes are keyed by integers."""

import functools
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
import measure

PLAIN = "quantspec, plain"
SPECULATIVE = "quantspec, gamma auto"
GGUF = "gguf==0.19.0"
OPENVINO = "openvino-genai==2026.4.1.0"
LLAMA_CPP = "llama-cpp-python==0.3.36"
# AMX kept out: built by GCC 12, llama.cpp's kernels for it die of an illegal instruction.
NO_AMX = "'-mno-amx-tile -mno-amx-int8 -mno-amx-bf16'"
CMAKE_ARGS = {None: f"-DGGML_NATIVE=ON -DCMAKE_C_FLAGS={NO_AMX} -DCMAKE_CXX_FLAGS={NO_AMX}",
              "avx2": "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON"}
HELD_TO = {None: {}, "avx2": {"QUANTSPEC_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}}


class EngineFailed(Exception):
    """The engine cannot do what was asked; the text says why."""


def environment_of(package, variant="", **variables):
    """The Python of a virtual environment that has the package, made if it is missing."""
    return measure.environment(f"peers/{package}{variant}", [package, "numpy"], variables)


def random_model(shape):
    """The path of a GGUF file of this shape, written if it is missing."""
    path = measure.data_folder() / "models" / f"random-{shape}.Q4_0.gguf"
    if not path.exists():
        print(f"writing {path}", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        subprocess.run([environment_of(GGUF), HERE / "random_model.py", shape, unfinished],
                       check=True)
        unfinished.rename(path)
    return path


def run(command, options, stdin=""):
    """Standard output of `command` and its peak resident set in bytes."""
    command = [*options.launcher, *map(str, command)]
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as out, \
            tempfile.TemporaryFile("w+") as errors:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(command, stdin=given, stdout=out, stderr=errors,
                                   env={**os.environ, **HELD_TO[options.isa]})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            last = (errors.read().strip().splitlines() or ["no message"])[-1]
            raise EngineFailed(f"{' '.join(command)}: status {process.returncode}: {last}")
        return out.read(), usage.ru_maxrss * 1024


def run_bench(options, depths, gammas, tokens, *more):
    """The JSON lines of quantspec bench by (depth, gamma) as asked for."""
    out, _ = run([options.quantspec, "bench", "--model", options.model, "--file", options.text,
                  "--threads", options.threads, "--depth", ",".join(map(str, depths)), "--tokens",
                  tokens, "--gamma", ",".join(map(str, gammas)), "--repeat", 1, "--json",
                  "--quiet", *options.own, *more], options)
    return dict(zip(itertools.product(depths, gammas), map(json.loads, out.splitlines())))


def measure_own(options):
    """Plain decoding, and speculation unless weights are random and no acceptance is assumed."""
    lines = run_bench(options, options.prefill, [0], 1)
    prefill = {count: lines[count, 0]["prefill_tokens_per_s"] for count in options.prefill}
    names = {0: PLAIN} if options.shape and not options.accept else {0: PLAIN, "auto": SPECULATIVE}
    assumed = ["--accept", options.accept] if options.accept else []
    lines = run_bench(options, options.depth, list(names), options.tokens, *assumed)
    note = f"acceptance {options.accept} is assumed" if assumed else ""
    return {name: {"version": lines[options.depth[0], gamma]["isa"], "prefill": prefill,
                   "decode": {depth: lines[depth, gamma]["decode_tokens_per_s"]["median"]
                              for depth in options.depth},
                   "note": note if gamma else ""}
            for gamma, name in names.items()}


def own_memory(options):
    """Peak of quantspec generate at the largest depth; bench itself takes more, to measure."""
    out, _ = run([options.quantspec, "tokenize", "--model", options.model, "--file", options.text,
                  "--json"], options)
    tokens = json.loads(out)["tokens"][:max(options.depth[-1], 1)]
    out, _ = run([options.quantspec, "tokenize", "--model", options.model, "--decode", "--json"],
                 options, json.dumps(tokens))
    out, _ = run([options.quantspec, "generate", "--model", options.model, "--file", "-", "--chat",
                  "off", "--threads", options.threads, "--max-tokens", options.tokens,
                  "--ignore-eos", "--json", "--quiet", *options.own], options,
                 json.loads(out)["text"])
    return json.loads(out)["peak_rss_bytes"]


def measure_worker(python, script, options):
    asked = {key: getattr(options, key) for key in ("text", "threads", "prefill", "depth",
                                                    "tokens")}
    asked |= {"model": str(options.model), "repeat_rows": bool(options.shape)}
    out, peak = run([python, HERE / script, json.dumps(asked)], options)
    result = json.loads(out.splitlines()[-1])
    for kind in ("prefill", "decode"):
        result[kind] = {int(count): speed for count, speed in result[kind].items()}
    return {**result, "peak_rss_bytes": peak}


def llama_bench_commands(binary, usage, options):
    """ik_llama.cpp's has no -d; its -gp DEPTH,TOKENS times the tokens alone, like -d."""
    common = [binary, "-m", options.model, "-t", options.threads, "-fa", 1, "-r", 1, "-o", "json"]
    prefill = ",".join(map(str, options.prefill))
    if "--n-depth" in usage:
        depths = ",".join(map(str, options.depth))
        return [[*common, "-p", prefill, "-n", 0],
                [*common, "-p", 0, "-n", options.tokens, "-d", depths]]
    behind = [part for depth in options.depth if depth
              for part in ("-gp", f"{depth},{options.tokens}")]
    tokens = options.tokens if 0 in options.depth else 0
    return [[*common, "-p", prefill, "-n", tokens, *behind]]


def measure_llama_bench(binary, options):
    usage, _ = run([binary, "--help"], options)
    result = {"prefill": {}, "decode": {}, "peak_rss_bytes": 0}
    for command in llama_bench_commands(binary, usage, options):
        out, peak = run(command, options)
        result["peak_rss_bytes"] = max(result["peak_rss_bytes"], peak)
        for line in json.loads(out):
            result["version"] = line["build_commit"]
            if line["n_gen"]:
                result["decode"][line.get("n_depth", line["n_prompt"])] = line["avg_ts"]
            else:
                result["prefill"][line["n_prompt"]] = line["avg_ts"]
    for kind, counts in (("prefill", options.prefill), ("decode", options.depth)):
        if sorted(result[kind]) != counts:
            raise EngineFailed(f"{binary}: {kind} of {sorted(result[kind])} tokens was measured, "
                               f"expected {counts}")
    return result


def peers_of(options):
    """Functions that measure a peer once, by the peer's name. Installs what is missing."""
    peers = {"openvino": functools.partial(measure_worker, environment_of(OPENVINO),
                                           "openvino_worker.py", options)}
    if options.llama_cpp:
        python = environment_of(LLAMA_CPP, f"-{options.isa}" if options.isa else "",
                                CMAKE_ARGS=CMAKE_ARGS[options.isa])
        peers["llama.cpp"] = functools.partial(measure_worker, python, "llama_cpp_worker.py",
                                               options)
    for named in options.llama_bench:
        name, _, binary = named.rpartition("=")
        peers[name or binary] = functools.partial(measure_llama_bench, binary, options)
    return peers
