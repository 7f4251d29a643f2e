#!/usr/bin/env python3
"""Writes tiny random models as Hugging Face folders and the logits that a correct engine computes for
them.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install numpy gguf
    /tmp/golden/bin/python tests/golden/make_hf_models.py

Output: hf_models/*/, hf_models/cases.json and hf_models/logits.f32, as make_models.py writes them.
"""

import dataclasses
import json
import pathlib
import shutil
import zlib

import numpy as np

import families
import make_models
from gguf_to_folder import BYTE_LEVEL, name_of
import hf_quantise
from hf_folder import DTYPES, decode, encode, write_raw
from make_models import SCORED_ROWS, TOKENS, VOCAB, config
from plain_transformer import Model, split_fused

FOLDER = pathlib.Path(__file__).parent / "hf_models"
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM",
           "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", **families.CLASSES}


@dataclasses.dataclass
class Recipe:
    name: str
    config: object
    dtype: str = "bf16"
    settings: dict = dataclasses.field(default_factory=dict)  # more of config.json
    is_v5: bool = False  # as transformers 5 writes it
    tied: bool = False
    biases: tuple = ()
    qk_norm: str = ""  # "head": of each, "whole": of all together
    norms: str = "before"  # or after, both
    fused: bool = False
    wrapper: str = ""  # a checkpoint with more parts, of this model_type
    context: int = 0  # to run it with; 0: the model's
    shards: int = 1
    rope_factors: bool = False
    quantise: object = None  # (name in the folder's manner, matrix) -> as hf_quantise.py, or None
    prompt_tokens: int = 40


def of_projections(function, *arguments):
    """Quantises the linear layers between the embedding and the head."""
    return lambda name, values: (function(values, *arguments) if "_proj" in name else None)


def mlx(name, values):
    return hf_quantise.mlx(values, 8 if "embed" in name else 4, 32)


def compressed_tensors(format, bits, group, symmetric, kind="int"):
    weights = {"num_bits": bits, "type": kind, "symmetric": symmetric, "actorder": None,
               "strategy": "group" if group else "channel", "group_size": group}
    return {"quantization_config": {
        "quant_method": "compressed-tensors", "format": format, "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights,
                                      "input_activations": None}}}}


def gptq(bits, group, symmetric, format):
    return {"quantization_config": {
        "quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric,
        "desc_act": False, "checkpoint_format": format}}


LLAMA3 = dict(scaling="llama3", scaling_factor=8.0, original_context=32)
YARN = dict(scaling="yarn", scaling_factor=4.0, original_context=32)
RECIPES = [
    Recipe("llama3-shards", config("llama", 4, 2, 16, rope_base=500000.0, **LLAMA3),
           shards=3),
    Recipe("llama3-v5-tied", config("llama", 2, 1, 32, rope_base=10000.0, **LLAMA3), dtype="f16",
           is_v5=True, tied=True),
    Recipe("llama-linear-bias", config("llama", 4, 1, 16, layers=1, scaling="linear", scaling_factor=4.0),
           dtype="f32", tied=True, biases=make_models.ATTENTION, settings={"attention_bias": True}),
    Recipe("mistral", config("mistral", 2, 1, 32, rope_base=1000000.0), settings={
        "sliding_window": None}),
    Recipe("mistral-sealed", config("mistral", 2, 1, 64, context=2048), tied=True, settings={
        "sliding_window": None}, prompt_tokens=700),
    Recipe("qwen2-yarn", config("qwen2", 2, 1, 32, epsilon=1e-6, rope_base=1000000.0,
                                **YARN), biases=make_models.ATTENTION[:3], settings={
        "use_sliding_window": False, "sliding_window": 64, "max_window_layers": 1}),
    Recipe("qwen2-v5-factor", config("qwen2", 2, 2, 16, attention_factor=1.25, **YARN), is_v5=True,
           biases=make_models.ATTENTION[:3], tied=True, settings={
               "layer_types": ["full_attention", "full_attention"]}),
    Recipe("qwen3-v5", config("qwen3", 4, 2, 32, layers=1, epsilon=1e-6), is_v5=True, qk_norm="head"),
    Recipe("ct-int4", config("llama", 4, 2, 16, hidden=64), tied=True,
           quantise=of_projections(hf_quantise.compressed_tensors, 4, 32, True),
           settings=compressed_tensors("pack-quantized", 4, 32, True)),
    Recipe("ct-int4-asymmetric", config("llama", 4, 2, 16, hidden=64, ffn=96), tied=True,
           quantise=of_projections(hf_quantise.compressed_tensors, 4, 32, False),
           settings=compressed_tensors("pack-quantized", 4, 32, False)),
    Recipe("ct-int8-channel", config("qwen2", 4, 2, 16, hidden=64), tied=True,
           biases=make_models.ATTENTION[:3],
           quantise=of_projections(hf_quantise.compressed_tensors, 8, 0, True),
           settings=compressed_tensors("pack-quantized", 8, None, True)),
    Recipe("ct-int8-plain", config("llama", 4, 2, 16, hidden=64), tied=True,
           quantise=of_projections(hf_quantise.int8_channels),
           settings=compressed_tensors("int-quantized", 8, None, True)),
    Recipe("mlx-4-and-8", config("qwen3", 4, 2, 16, hidden=64), qk_norm="head", quantise=mlx,
           settings={"quantization": {"group_size": 32, "bits": 4, "model.embed_tokens": {
               "group_size": 32, "bits": 8}}}),
    Recipe("fp8-block", config("llama", 4, 2, 16, hidden=64, ffn=160, layers=1), tied=True,
           quantise=of_projections(hf_quantise.fp8, True), settings={"quantization_config": {
               "quant_method": "fp8", "weight_block_size": [128, 128]}}),
    Recipe("fp8-tensor", config("llama", 4, 2, 16, hidden=64), tied=True,
           quantise=of_projections(hf_quantise.fp8, False),
           settings=compressed_tensors("float-quantized", 8, None, True, "float")),
    Recipe("awq", config("llama", 4, 2, 16, hidden=64), dtype="f16", tied=True,
           quantise=of_projections(hf_quantise.awq, 32), settings={"quantization_config": {
               "quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True,
               "version": "gemm"}}),
    Recipe("gptq-v1", config("qwen2", 4, 2, 16, hidden=64), dtype="f16", tied=True,
           biases=make_models.ATTENTION[:3],
           quantise=of_projections(hf_quantise.gptq, 4, 32, False, 1),
           settings=gptq(4, 32, False, "gptq")),
    Recipe("gptq-v2-all-inputs", config("llama", 4, 2, 16, hidden=64), dtype="f16", tied=True,
           quantise=of_projections(hf_quantise.gptq, 4, -1, False, 2),
           settings=gptq(4, -1, False, "gptq_v2")),
    Recipe("gptq-int8-symmetric", config("llama", 4, 2, 16, hidden=64), dtype="f16", tied=True,
           quantise=of_projections(hf_quantise.gptq, 8, 32, True, 1),
           settings=gptq(8, 32, True, "gptq")),
    *(Recipe(**recipe) for recipe in families.hf_recipes(
        config, of_projections, hf_quantise, compressed_tensors, gptq)),
]


def config_of(recipe):
    c = recipe.config
    dtype = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[recipe.dtype]
    written = {
        "architectures": [CLASSES[c.architecture]], "model_type": c.architecture,
        "hidden_size": c.hidden, "intermediate_size": c.ffn, "num_hidden_layers": c.layers,
        "num_attention_heads": c.q_heads, "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim, "hidden_act": "silu", "max_position_embeddings": c.context,
        "rms_norm_eps": c.epsilon, "tie_word_embeddings": recipe.tied, "vocab_size": c.vocab,
        "bos_token_id": VOCAB - 2, "eos_token_id": VOCAB - 1,
        **families.hf_settings(c, recipe.is_v5), **recipe.settings,
        "dtype" if recipe.is_v5 else "torch_dtype": dtype,
        **families.hf_rope_settings(c, recipe.is_v5)}
    return families.wrapped(recipe, written) if recipe.wrapper else written


def tokenizer():
    special = TOKENS[-2:]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": VOCAB - 2 + i, "content": text, "single_word": False,
                          "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                         for i, text in enumerate(special)],
        "normalizer": None, "pre_tokenizer": BYTE_LEVEL, "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "vocab": {text: id for id, text in enumerate(TOKENS[:-2])},
                  "merges": [["t", "h"], ["th", "e"]]}}


def write_shards(path, entries, shards):
    if shards == 1:
        write_raw(path / "model.safetensors", {k: v for part in entries for k, v in part.items()})
        return
    weight_map = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {k: v for entry in entries[shard::shards] for k, v in entry.items()}
        write_raw(path / name, part)
        weight_map |= {tensor: name for tensor in part}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def write_folder(recipe, path):
    """Gives the values that the folder's files hold, under GGUF's names."""
    rng = np.random.default_rng(zlib.crc32(recipe.name.encode()))
    tensors = dict(make_models.random_tensors(rng, recipe))
    if recipe.fused:
        tensors = families.fused(tensors)
    adds_one = recipe.config.architecture.startswith("gemma")
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    entries, decoded = [], {}  # of each tensor all that the files have of it
    for name, values in tensors.items():
        made, theirs = None, families.hf_name(name, recipe, name_of)
        one = 1.0 if adds_one and "norm" in name else 0.0
        if recipe.quantise is not None and values.ndim == 2:
            made = recipe.quantise(theirs, values)
        if made is None:
            data = encode(values - one, recipe.dtype)
            decoded[name] = decode(data, recipe.dtype, values.shape) + one
            entries.append({theirs: (DTYPES[recipe.dtype], values.shape, data)})
        else:
            base = theirs.removesuffix("weight")
            entries.append({base + part: entry for part, entry in made[0].items()})
            decoded[name] = made[1]
    if recipe.wrapper:
        for name in ("vision_tower.conv", "multi_modal_projector.linear"):
            entries.append({f"{name}.weight": ("F32", (2, 3, 1), encode(np.ones(6), "f32"))})
    write_shards(path, entries, recipe.shards)
    (path / "config.json").write_text(json.dumps(config_of(recipe), indent=1))
    (path / "tokenizer.json").write_text(json.dumps(tokenizer(), separators=(",", ":")))
    (path / "generation_config.json").write_text(json.dumps(
        {"eos_token_id": [VOCAB - 1, VOCAB - 2], "temperature": 0.6, "top_p": 0.9}))
    return split_fused(recipe.config, decoded)


def main():
    cases = []
    for recipe in RECIPES:
        tensors = write_folder(recipe, FOLDER / recipe.name)
        tokens = make_models.prompt_of(recipe)
        # Rows are in half-split order already: nothing to permute.
        model = Model(recipe.config, tensors)
        model.forward(tokens[:-SCORED_ROWS])
        rows = model.logits(model.forward(tokens[-SCORED_ROWS:]))
        cases.append((make_models.case_of(recipe, recipe.name, "full", tokens), rows))
    make_models.write_cases(FOLDER, cases)


if __name__ == "__main__":
    main()
