#!/usr/bin/env python3
"""Writes the seeds corpus/safetensors/ and corpus/hf/: small files that reach every branch."""

import json
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def safetensors(header, data=0):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "empty": safetensors({}),
    "two": safetensors({"__metadata__": {"format": "pt"}, "b": tensor("BF16", [2, 3], 4, 16),
                        "a": tensor("F32", [], 0, 4)}, 16),
    "escapes": safetensors(b'{"\\ud83d\\ude00\\u0061\\n":{"dtype":"U8","shape":[1],"x":[{"y":'
                           b'[null,true,-1.5e+3]}],"data_offsets":[0,1]}} ', 1),
    "hole": safetensors({"a": tensor("I8", [1], 0, 1), "b": tensor("I8", [1], 2, 3)}, 3),
    "overflow": safetensors({"a": tensor("F64", [2**32, 2**32], 0, 0)}),
    "unicode": safetensors({"\u00e4\u65e5\U0001f600": tensor("F4", [2, 0], 0, 0)}),
}
LLAMA3 = (r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
TEMPLATE = {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [6], "tokens": ["<s>"]}}}


def added(id, content, **rules):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True, **rules}


def byte_level(pre, normalizer=None):
    return {"version": "1.0", "added_tokens": [added(6, "<s>"), added(
        7, "<tool>", special=False, lstrip=True, rstrip=True, single_word=True)],
            "normalizer": normalizer,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre + [
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": not pre}]},
            "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, TEMPLATE]},
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "ignore_merges": bool(pre), "vocab": {
                "H": 0, "l": 1, "o": 2, "ll": 3, "llo": 4, "\u0120": 5},
                      "merges": ["l l", ["ll", "o"]]}}


def characters(**parts):
    return {"added_tokens": [added(6, "<s>", normalized=True), added(0, "<unk>")],
            "post_processor": TEMPLATE,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                      "vocab": {"<unk>": 0, "<0x0A>": 1, "<0xC3>": 2, "\u2581": 3, "l": 4, "ll": 5,
                                "<s>": 6, "\u2581ll": 7, "H": 8},
                      "merges": [["l", "l"], ["\u2581", "ll"]]}, **parts}


HF = {
    "gpt2": byte_level([]),
    "llama3": byte_level([{"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated",
                           "invert": False}]),
    "digits": byte_level([{"type": "Digits", "individual_digits": True},
                          {"type": "Split", "pattern": {"String": "l+"}, "behavior": "Removed",
                           "invert": True}], {"type": "NFC"}),
    "llama2-old": characters(normalizer={"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "\u2581"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}),
    "llama2-new": characters(pre_tokenizer={"type": "Metaspace", "replacement": "\u2581",
                                            "prepend_scheme": "first", "split": False}),
    "metaspace": characters(pre_tokenizer={"type": "Metaspace", "replacement": "\u2581",
                                           "prepend_scheme": "always", "split": True}),
    "config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
               "num_hidden_layers": 2, "intermediate_size": 96, "num_attention_heads": 4,
               "num_key_value_heads": 2, "max_position_embeddings": 128, "vocab_size": 300,
               "rope_theta": 1e4, "rope_scaling": {
                   "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1,
                   "high_freq_factor": 4, "original_max_position_embeddings": 32}},
    "quantised": {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {
            "group_0": {"weights": {"num_bits": 4, "actorder": None}}}}},
    "mlx": {"quantization": {"group_size": 64, "bits": 4, "mode": "affine"}},
    "config5": {"model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2,
                "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2,
                "head_dim": 32, "max_position_embeddings": 128, "vocab_size": 300,
                "layer_types": ["full_attention", "full_attention"],
                "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4,
                                    "partial_rotary_factor": 0.5, "mscale": 1.0,
                                    "mscale_all_dim": 0.5}},
    "config-phi": {"model_type": "phi3", "hidden_size": 64, "num_hidden_layers": 2,
                   "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2,
                   "max_position_embeddings": 128, "original_max_position_embeddings": 32,
                   "vocab_size": 300, "sliding_window": 47, "partial_rotary_factor": 0.5,
                   "rope_scaling": {"type": "su", "short_factor": [1, 1.5, 2, 2.5],
                                    "long_factor": [3, 4, 5, 6]}},
    "config-smol": {"model_type": "smollm3", "hidden_size": 64, "num_hidden_layers": 2,
                    "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2,
                    "max_position_embeddings": 128, "vocab_size": 300, "no_rope_layers": [0, 1],
                    "use_sliding_window": True, "sliding_window": 8},
    "config-gemma": {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
                     "tie_word_embeddings": True, "text_config": {
                         "hidden_size": 64, "num_hidden_layers": 7, "intermediate_size": 96,
                         "final_logit_softcapping": 30.0, "sliding_window": 47,
                         "sliding_window_pattern": 3, "rope_parameters": {
                             "full_attention": {"rope_type": "linear", "factor": 8.0},
                             "sliding_attention": {"rope_theta": 1e4}}}},
    "config-granite": {"model_type": "granite", "hidden_size": 64, "num_hidden_layers": 2,
                       "intermediate_size": 96, "num_attention_heads": 4,
                       "max_position_embeddings": 128, "vocab_size": 300, "logits_scaling": 8,
                       "embedding_multiplier": 12.0, "residual_multiplier": 0.22,
                       "attention_multiplier": 0.0625},
}


def main():
    for folder, seeds in (("safetensors", SAFETENSORS), ("hf", HF)):
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for name, seed in seeds.items():
            data = seed if isinstance(seed, bytes) else json.dumps(seed).encode()
            (CORPUS / folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
