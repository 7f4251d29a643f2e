#!/usr/bin/env python3
"""Writes the model of a GGUF file as a Hugging Face folder, so that the same model can be run from
two containers.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install numpy gguf
    /tmp/golden/bin/python tests/golden/gguf_to_folder.py MODEL.gguf FOLDER [--dtype bf16]

Weights are dequantised and written as --dtype (f32, f16, bf16); the tokenizer becomes a
tokenizer.json. Families: llama, qwen2 and qwen3 with byte-level BPE.
"""

import argparse
import json
import pathlib

import gguf
import numpy as np

from hf_folder import write_safetensors
from plain_transformer import permute_rows

LAYER_NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj"}
MODEL_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm",
               "output": "lm_head"}
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
              "use_regex": True}


def split(pattern):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {**BYTE_LEVEL, "use_regex": False}]}


PRE_TOKENIZERS = {
    "gpt-2": (None, BYTE_LEVEL, False),
    "smollm": (None, {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, BYTE_LEVEL]}, False),
    "llama-bpe": (None, split(LLAMA3), True),
    "qwen2": ({"type": "NFC"}, split(LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")), False),
}


def field(reader, key, default=None):
    entry = reader.get_field(key)
    return default if entry is None else entry.contents()


def name_of(name):
    base, kind = name.rsplit(".", 1)
    if base.startswith("blk."):
        _, layer, part = base.split(".", 2)
        return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"
    return f"{MODEL_NAMES[base]}.{kind}"


def config_of(reader, tensors, dtype):
    arch = field(reader, "general.architecture")

    def of(key, default=None):
        return field(reader, f"{arch}.{key}", default)

    heads, hidden = of("attention.head_count"), of("embedding_length")
    classes = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM",
               "qwen3": "Qwen3ForCausalLM"}
    return {
        "architectures": [classes[arch]], "model_type": arch,
        "hidden_size": hidden, "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"), "num_attention_heads": heads,
        "num_key_value_heads": of("attention.head_count_kv", heads),
        "head_dim": of("attention.key_length", hidden // heads), "hidden_act": "silu",
        "max_position_embeddings": of("context_length"),
        "rms_norm_eps": of("attention.layer_norm_rms_epsilon"),
        "rope_theta": of("rope.freq_base", 10000.0),
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "vocab_size": tensors["model.embed_tokens.weight"].shape[0],
        "bos_token_id": field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": field(reader, "tokenizer.ggml.eos_token_id"),
        "torch_dtype": {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[dtype]}


def tokenizer_of(reader):
    pieces = field(reader, "tokenizer.ggml.tokens")
    types = field(reader, "tokenizer.ggml.token_type")
    special = [id for id, kind in enumerate(types)
               if kind in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)]
    normalizer, pre_tokenizer, ignore = PRE_TOKENIZERS[field(reader, "tokenizer.ggml.pre")]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": id, "content": pieces[id], "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False,
             "special": types[id] == gguf.TokenType.CONTROL} for id in special],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore,
                  "vocab": {piece: id for id, piece in enumerate(pieces)},
                  "merges": field(reader, "tokenizer.ggml.merges")}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--dtype", default="bf16", choices=("f32", "f16", "bf16"))
    arguments = parser.parse_args()
    reader = gguf.GGUFReader(arguments.model)
    arch = field(reader, "general.architecture")
    heads = field(reader, f"{arch}.attention.head_count")
    kv_heads = field(reader, f"{arch}.attention.head_count_kv", heads)
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        values = values.reshape([int(n) for n in reversed(tensor.shape)])
        for part, count in ((".attn_q.", heads), (".attn_k.", kv_heads)):
            if arch == "llama" and part in tensor.name:
                rotated = field(reader, f"{arch}.rope.dimension_count", values.shape[0] // count)
                values = permute_rows(values, count, rotated, inverse=True)
        tensors[name_of(tensor.name)] = values
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(arguments.folder / "model.safetensors", tensors, arguments.dtype)

    def write(name, value):
        with open(arguments.folder / name, "w") as out:
            json.dump(value, out, ensure_ascii=False, indent=1)

    config = config_of(reader, tensors, arguments.dtype)
    write("config.json", config)
    write("tokenizer.json", tokenizer_of(reader))
    pieces = field(reader, "tokenizer.ggml.tokens")
    settings = {key: pieces[config[key + "_id"]] for key in ("bos_token", "eos_token")
                if config[key + "_id"] is not None}
    template = field(reader, "tokenizer.chat_template")
    if template is not None:
        settings["chat_template"] = template
    write("tokenizer_config.json", settings)


if __name__ == "__main__":
    main()
