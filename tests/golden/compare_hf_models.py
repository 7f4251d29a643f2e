#!/usr/bin/env python3
"""Compares the logits that make_hf_models.py wrote with those of transformers for the same folders.

    python3 -m venv /tmp/hf && /tmp/hf/bin/pip install torch transformers numpy
    /tmp/hf/bin/python tests/golden/compare_hf_models.py [FOLDER ...]

Prints the largest difference over the standard deviation of the logits. Quantised folders, whose
weights transformers reads by other libraries, are left out.
"""

import json
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch
import transformers

FOLDER = pathlib.Path(__file__).parent / "hf_models"


def text_part(folder, config):
    """The text part of a checkpoint that has others, without these."""
    text = transformers.AutoConfig.for_model(**config["text_config"])
    text.tie_word_embeddings = config["tie_word_embeddings"]
    model = transformers.AutoModelForCausalLM.from_config(text, attn_implementation="eager")
    weights = {}
    for name, values in safetensors.torch.load_file(folder / "model.safetensors").items():
        if name.startswith(("vision_tower.", "multi_modal_projector.")):
            continue
        name = name.replace("model.language_model.", "model.")
        weights[name.removeprefix("language_model.")] = values.float()
    left = model.load_state_dict(weights, strict=False)
    assert not left.unexpected_keys and set(left.missing_keys) <= {"lm_head.weight"}, left
    return model


def logits_of(case):
    folder = FOLDER / case["model"]
    config = json.loads((folder / "config.json").read_text())
    if "text_config" in config:
        model = text_part(folder, config)
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    for module in model.modules():
        # A checkpoint in 16 bits has its scale in these, too.
        if getattr(module, "embed_scale", None) is not None:
            dtype = config.get("dtype", config.get("torch_dtype"))
            module.embed_scale = module.embed_scale.to(getattr(torch, dtype)).float()
    with torch.no_grad():
        return model(torch.tensor([case["tokens"]])).logits[0, -case["rows"]:].numpy()


def main():
    cases = json.loads((FOLDER / "cases.json").read_text())
    values = np.fromfile(FOLDER / "logits.f32", "<f4")
    worst = 0.0
    for case in cases:
        if sys.argv[1:] and case["model"] not in sys.argv[1:]:
            continue
        if "quantization" in (FOLDER / case["model"] / "config.json").read_text():
            continue
        count = case["rows"] * case["vocab"]
        expected = values[case["offset"]:case["offset"] + count].reshape(case["rows"], -1)
        error = np.abs(logits_of(case) - expected).max() / expected.std()
        worst = max(worst, error)
        print(f"{case['model']:24} {error:.2e}", flush=True)
    print(f"{'worst':24} {worst:.2e}")


if __name__ == "__main__":
    main()
