"""Measures OpenVINO GenAI once; run by compare.py in its own virtual environment.

Argument: a JSON object with model, text, threads, prefill, depth (both lists) and tokens. Prints
one JSON object.
"""

import importlib.metadata
import json
import pathlib
import sys

import numpy as np
import openvino
import openvino_genai

PIECE = 4096  # characters
LEAST_DEPTH = 4  # a prompt of a few tokens stands for depth 0


def main():
    asked = json.loads(sys.argv[1])
    pipe = openvino_genai.LLMPipeline(asked["model"], "CPU",
                                      INFERENCE_NUM_THREADS=asked["threads"])
    text = pathlib.Path(asked["text"]).read_text(encoding="utf-8")[:400_000]
    encode = pipe.get_tokenizer().encode  # keeps no more of a text than the model's context
    pieces = [encode(text[at:at + PIECE]).input_ids.data for at in range(0, len(text), PIECE)]
    ids = np.concatenate(pieces, axis=1)
    begin = 0

    def generate(count, tokens):
        # Another stretch of the text each time, so that no prefix cache can answer.
        nonlocal begin
        begin += 97
        if begin + count > ids.shape[1]:
            sys.exit("the text is too short")
        window = np.ascontiguousarray(ids[:, begin:begin + count])
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(window),
                                                openvino.Tensor(np.ones_like(window)))
        options = openvino_genai.GenerationConfig(max_new_tokens=tokens, ignore_eos=True)
        return pipe.generate(inputs, options).perf_metrics

    generate(64, 8)  # compiles and warms up
    result = {"version": importlib.metadata.version("openvino-genai"), "prefill": {}, "decode": {}}
    for count in asked["prefill"]:
        result["prefill"][count] = 1000 * count / generate(count, 1).get_ttft().mean
    for depth in asked["depth"]:
        metrics = generate(max(depth, LEAST_DEPTH), asked["tokens"])
        result["decode"][depth] = 1000 / metrics.get_tpot().mean
    if min(asked["depth"]) < LEAST_DEPTH:
        result["note"] = f"depth 0 is a prompt of {LEAST_DEPTH} tokens"
    print(json.dumps(result))


if __name__ == "__main__":
    main()
