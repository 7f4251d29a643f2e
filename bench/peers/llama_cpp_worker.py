"""Measures llama.cpp (through llama-cpp-python) once; run by compare.py in its own environment.

Argument: a JSON object with model, text, threads, prefill, depth (both lists), tokens, and
repeat_rows: if true, rows of a short prompt are repeated to fill the cache, since its contents do
not matter (random weights) and reading a long prompt would take many minutes. Prints one JSON
object. The cache is f16, attention is fused ("flash"), as llama-bench -fa 1 has it.
"""

import ctypes
import importlib.metadata
import json
import pathlib
import sys
import time

import llama_cpp
import numpy as np

import llama_state


SHORT = 1024  # tokens whose rows are repeated


def short_state(llama, ids):
    """The state of the sequence after the first few tokens."""
    llama.reset()
    llama.eval(ids[:SHORT])
    data = (ctypes.c_uint8 * llama_cpp.llama_state_seq_get_size(llama.ctx, 0))()
    return bytes(data[:llama_cpp.llama_state_seq_get_data(llama.ctx, data, len(data), 0)])


def fill_with_copies(llama, state, count):
    """Leaves `count` tokens in the cache, rows of `state` again and again."""
    state = llama_state.repeated(state, count)
    llama.reset()
    llama._ctx.kv_cache_clear()
    copied = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
    if llama_cpp.llama_state_seq_set_data(llama.ctx, copied, len(state), 0) != len(state):
        sys.exit("llama.cpp refused a cache of repeated rows")
    llama.n_tokens = count


def main():
    asked = json.loads(sys.argv[1])
    depths, new_tokens = sorted(asked["depth"]), asked["tokens"]
    context = max(max(depths, default=0), 1) + new_tokens
    llama = llama_cpp.Llama(asked["model"], n_ctx=max(context, *asked["prefill"], 64),
                            n_threads=asked["threads"], n_threads_batch=asked["threads"],
                            flash_attn=True, verbose=False)
    ids = llama.tokenize(pathlib.Path(asked["text"]).read_bytes()[:400_000], add_bos=False)
    if len(ids) < max(*asked["prefill"], *depths):
        sys.exit("the text is too short")

    def best_token():
        logits = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
        return int(np.argmax(np.ctypeslib.as_array(logits, (llama.n_vocab(),))))

    def prefill(count):
        llama.reset()
        begin = time.perf_counter()
        llama.eval(ids[:count])
        best_token()
        return count / (time.perf_counter() - begin)

    def decode(depth):
        """Depth 0 still needs a token to start from. Depths rise, so the cache is never cut by more
        than the tokens just decoded, and each fills up only what the one before left, unless
        copies fill it."""
        filled = max(depth, 1)
        if state and filled > SHORT + 1:
            fill_with_copies(llama, state, filled - 1)
        llama.n_tokens = min(llama.n_tokens, filled - 1)
        llama.eval(ids[llama.n_tokens:filled])
        begin = time.perf_counter()
        for _ in range(new_tokens):
            llama.eval([best_token()])
        return new_tokens / (time.perf_counter() - begin)

    prefill(64)  # warms up
    state = short_state(llama, ids) if asked["repeat_rows"] and depths[-1] > SHORT + 1 else None
    result = {"version": importlib.metadata.version("llama-cpp-python"),
              "decode": {depth: decode(depth) for depth in depths},
              "prefill": {count: prefill(count) for count in sorted(asked["prefill"])}}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
