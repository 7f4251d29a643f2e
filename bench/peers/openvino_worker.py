"""Measures OpenVINO GenAI once; run by compare.py in its own virtual environment.

Arguments: MODEL TEXT THREADS SHIFT PREFILLS DEPTH TOKENS. Prints one JSON object.
"""

import importlib.metadata
import json
import pathlib
import sys

import numpy as np
import openvino
import openvino_genai


def main():
    model, text, threads, shift, prefills, depth, new_tokens = sys.argv[1:]
    pipe = openvino_genai.LLMPipeline(model, "CPU", INFERENCE_NUM_THREADS=int(threads))
    everything = pathlib.Path(text).read_text(encoding="utf-8")
    ids = pipe.get_tokenizer().encode(everything[:400_000]).input_ids.data

    def generate(count, tokens, at):
        # Another stretch of the text each time, so that no prefix cache can answer.
        window = np.ascontiguousarray(ids[:, at:at + count])
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(window),
                                                openvino.Tensor(np.ones_like(window)))
        options = openvino_genai.GenerationConfig(max_new_tokens=tokens, ignore_eos=True)
        return pipe.generate(inputs, options).perf_metrics

    at = int(shift)
    generate(64, 8, at)  # compiles and warms up
    result = {"version": importlib.metadata.version("openvino-genai"), "prefill": {}}
    for count in map(int, prefills.split(",")):
        at += 97
        first_token_s = generate(count, 1, at).get_ttft().mean / 1000
        result["prefill"][count] = count / first_token_s
    metrics = generate(int(depth), int(new_tokens), at + 97)
    result["decode"] = 1000 / metrics.get_tpot().mean
    print(json.dumps(result))


if __name__ == "__main__":
    main()
