"""Measures llama.cpp (through llama-cpp-python) once; run by compare.py in its own environment.

Arguments: MODEL TEXT THREADS SHIFT PREFILLS DEPTH TOKENS. Prints one JSON object.
"""

import importlib.metadata
import json
import pathlib
import sys
import time

import llama_cpp
import numpy as np


def main():
    model, text, threads, shift, prefills, depth, new_tokens = sys.argv[1:]
    depth, new_tokens = int(depth), int(new_tokens)
    llama = llama_cpp.Llama(model, n_ctx=depth + new_tokens, n_threads=int(threads),
                            n_threads_batch=int(threads), flash_attn=True, verbose=False)
    everything = pathlib.Path(text).read_bytes()[:400_000]
    ids = llama.tokenize(everything, add_bos=False)[int(shift):]

    def best_token():
        logits = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
        return int(np.argmax(np.ctypeslib.as_array(logits, (llama.n_vocab(),))))

    def prefill(count):
        llama.reset()
        begin = time.perf_counter()
        llama.eval(ids[:count])
        best_token()
        return count / (time.perf_counter() - begin)

    prefill(64)  # warms up
    counts = sorted(int(count) for count in prefills.split(","))
    result = {"version": importlib.metadata.version("llama-cpp-python"),
              "prefill": {count: prefill(count) for count in counts}}
    llama.eval(ids[counts[-1]:depth])  # after the longest prefill
    begin = time.perf_counter()
    for _ in range(new_tokens):
        llama.eval([best_token()])
    result["decode"] = new_tokens / (time.perf_counter() - begin)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
