"""The families beyond llama and qwen: tiny models of each, and how files describe them."""

import dataclasses
import math

import numpy as np

from hf_folder import decode, encode


def bf16(value):
    """`value` as Gemma's software rounds it."""
    return float(decode(encode(np.array([value]), "bf16"), "bf16", (1,))[0])


HIDDEN = 32
# Contexts long enough for the tests of exactness to seal groups.
SIZES = dict(heads=2, kv_heads=1, head_dim=16, hidden=HIDDEN, context=1024)
GRANITE = dict(SIZES, embedding_scale=6.0, residual_scale=0.22, logit_divisor=4.0,
               attention_scale=0.125)
# A quarter of the channels is not rotated; the context is 16 times the original one.
PHI3 = dict(SIZES, rotated=12,
            scaling="longrope", original_context=64,
            attention_factor=math.sqrt(1 + math.log(16) / math.log(64)),
            short_factors=tuple(1 + 0.05 * i for i in range(6)),
            long_factors=tuple(1.5 + 0.5 * i for i in range(6)))
SMOLLM3 = dict(SIZES, layers=4, rope_gap=4, rope_base=2000000.0, epsilon=1e-6)
# Cosine and sine are not scaled, as with mscale = mscale_all_dim = 1.
MINISTRAL3 = dict(SIZES, rope_base=1000000.0, scaling="yarn", scaling_factor=32.0,
                  original_context=32, attention_factor=1 / (0.1 * math.log(32) + 1), growth=0.1)
OLMO2 = dict(SIZES, kv_heads=2, rope_base=500000.0, epsilon=1e-6)
OLMO3 = dict(OLMO2, layers=4, scaling="yarn", scaling_factor=32.0, original_context=32,
             window_period=4, local_base=500000.0)
GEMMA = dict(SIZES, activation="gelu", epsilon=1e-6, embedding_scale=bf16(math.sqrt(HIDDEN)))
GEMMA2 = dict(GEMMA, window_period=2, logit_softcap=20.0)
GEMMA3 = dict(GEMMA, layers=6, rope_base=1000000.0, local_base=10000.0, scaling="linear",
              scaling_factor=8.0, window_period=6)
WIDE = 4096  # a window that no context here fills
LONG = 140  # tokens, past the original contexts
AFTER = dict(norms="after", qk_norm="whole")


def gguf_recipes(config):
    yield dict(name="granite-tied", config=config("granite", **GRANITE), tied=True)
    phi3 = config("phi3", **PHI3)
    yield dict(name="phi3-short", config=phi3, fused=True, context=64)
    yield dict(name="phi3-long", config=dataclasses.replace(phi3, is_long=True), fused=True,
               prompt_tokens=LONG)
    yield dict(name="smollm3-tied", config=config("smollm3", **SMOLLM3), tied=True)
    yield dict(name="mistral3", config=config("mistral3", **MINISTRAL3), prompt_tokens=120)
    yield dict(name="olmo2", config=config("olmo2", **OLMO2), **AFTER)
    yield dict(name="olmo3-wide", config=config("olmo2", **OLMO3, window=WIDE), **AFTER,
               prompt_tokens=100)
    yield dict(name="olmo3", config=config("olmo2", **OLMO3, window=24), **AFTER, prompt_tokens=100)
    yield dict(name="gemma2-wide", norms="both", tied=True,
               config=config("gemma2", **GEMMA2, window=WIDE))
    yield dict(name="gemma2", norms="both", tied=True,
               config=config("gemma2", **GEMMA2, window=24, attention_softcap=1.5))
    yield dict(name="gemma3-wide", norms="both", qk_norm="head", tied=True,
               config=config("gemma3", **GEMMA3, window=WIDE))
    yield dict(name="gemma3", norms="both", qk_norm="head", tied=True, prompt_tokens=60,
               config=config("gemma3", **GEMMA3, window=24))
    yield dict(name="gemma3-sealed", norms="both", qk_norm="head", tied=True, prompt_tokens=700,
               config=config("gemma3", **GEMMA3, window=90))


def add_metadata(writer, c):
    """What GGUF files of these architectures say beside what all of them do."""
    if c.architecture == "granite":
        writer.add_embedding_scale(c.embedding_scale)
        writer.add_residual_scale(c.residual_scale)
        writer.add_logit_scale(c.logit_divisor)
        writer.add_attention_scale(c.attention_scale)
    if c.architecture == "gemma2":
        writer.add_attn_logit_softcapping(c.attention_softcap)
        writer.add_final_logit_softcapping(c.logit_softcap)
    if c.window:
        writer.add_sliding_window(c.window)
        if c.architecture == "olmo2" or (c.architecture == "llama" and c.window_period > 1):
            writer.add_sliding_window_pattern([c.is_windowed(i) for i in range(c.layers)])
    if c.growth:
        writer.add_attn_temperature_scale(c.growth)
        writer.add_rope_scaling_yarn_log_mul(1.0)


def rope_tensors(c):
    if c.scaling == "longrope":
        yield "rope_factors_long.weight", np.asarray(c.long_factors)
        yield "rope_factors_short.weight", np.asarray(c.short_factors)


def fused(tensors):
    """`tensors` with the matrices that share their inputs above each other."""
    made = {}
    for name, values in tensors.items():
        prefix = name.rsplit(".", 2)[0]
        if name.endswith("attn_q.weight"):
            made[prefix + ".attn_qkv.weight"] = np.concatenate(
                [tensors[f"{prefix}.attn_{part}.weight"] for part in "qkv"])
        elif name.endswith("ffn_up.weight"):
            made[name] = np.concatenate([tensors[prefix + ".ffn_gate.weight"], values])
        elif not name.endswith(("attn_k.weight", "attn_v.weight", "ffn_gate.weight")):
            made[name] = values
    return made


# ---- folders

CLASSES = {"phi3": "Phi3ForCausalLM", "granite": "GraniteForCausalLM",
           "smollm3": "SmolLM3ForCausalLM", "ministral3": "Ministral3ForCausalLM",
           "olmo2": "Olmo2ForCausalLM", "olmo3": "Olmo3ForCausalLM",
           "gemma2": "Gemma2ForCausalLM", "gemma3_text": "Gemma3ForCausalLM"}
# Checkpoints with pictures: type, class, prefixes of their text part and head, other tensors.
WRAPPERS = {"mistral3": ("Mistral3ForConditionalGeneration", "language_model.model.",
                         "language_model.lm_head"),
            "gemma3": ("Gemma3ForConditionalGeneration", "model.language_model.", "lm_head")}


def hf_recipes(config, of_projections, hf_quantise, compressed_tensors, gptq):
    yield dict(name="granite", config=config("granite", **GRANITE), tied=True)
    phi3 = config("phi3", **PHI3)
    yield dict(name="phi3-short", config=phi3, fused=True, tied=True, context=64)
    yield dict(name="phi3-long-v5", config=dataclasses.replace(phi3, is_long=True), fused=True,
               tied=True, prompt_tokens=LONG, is_v5=True)
    plain = dict(SIZES, heads=4, kv_heads=2, hidden=64)
    yield dict(name="phi3-ct-int4", config=config("phi3", **plain), fused=True, tied=True,
               quantise=of_projections(hf_quantise.compressed_tensors, 4, 32, False),
               settings={"original_max_position_embeddings": 1024,
                         **compressed_tensors("pack-quantized", 4, 32, False)})
    yield dict(name="phi3-gptq", config=config("phi3", **plain), fused=True, tied=True, dtype="f16",
               quantise=of_projections(hf_quantise.gptq, 4, 32, False, 1),
               settings={"original_max_position_embeddings": 1024, **gptq(4, 32, False, "gptq")})
    yield dict(name="smollm3", config=config("smollm3", **SMOLLM3), tied=True)
    yield dict(name="smollm3-v5", config=config("smollm3", **dict(SMOLLM3, rope_gap=2)), is_v5=True,
               tied=True, settings={"no_rope_layers": [1, 0, 1, 0],
                                    "layer_types": ["full_attention"] * 4})
    yield dict(name="ministral3-v5", config=config("ministral3", **MINISTRAL3), is_v5=True,
               prompt_tokens=120)
    yield dict(name="mistral3-nested", config=config("ministral3", **MINISTRAL3), is_v5=True,
               tied=True, wrapper="mistral3", prompt_tokens=120)
    yield dict(name="olmo2", config=config("olmo2", **OLMO2), **AFTER)
    yield dict(name="olmo3-wide", config=config("olmo3", **OLMO3, window=WIDE), **AFTER,
               prompt_tokens=100)
    yield dict(name="olmo3-v5", config=config("olmo3", **OLMO3, window=24), **AFTER, is_v5=True,
               prompt_tokens=100)
    # Values that transformers checks to be whole.
    scaled = dict(attention_scale=1 / math.sqrt(24))
    yield dict(name="gemma2-wide", norms="both", tied=True,
               config=config("gemma2", **GEMMA2, **scaled, window=WIDE))
    yield dict(name="gemma2", norms="both", tied=True,
               config=config("gemma2", **GEMMA2, **scaled, window=24, attention_softcap=1.5))
    yield dict(name="gemma3-wide", norms="both", qk_norm="head", tied=True,
               config=config("gemma3_text", **GEMMA3, **scaled, window=WIDE))
    yield dict(name="gemma3-v5", norms="both", qk_norm="head", tied=True, is_v5=True,
               prompt_tokens=60, config=config("gemma3_text", **GEMMA3, **scaled, window=24))
    yield dict(name="gemma3-nested-wide", norms="both", qk_norm="head", tied=True,
               wrapper="gemma3", is_v5=True,
               config=config("gemma3_text", **GEMMA3, **scaled, window=WIDE))
    yield dict(name="mistral-window", config=config("mistral", **SIZES, window=24), tied=True)


def hf_rope(c):
    """Of layers without a window, but for its base."""
    rope = {"rope_type": "default" if c.scaling == "none" else c.scaling}
    if c.scaling == "longrope":
        rope |= {"short_factor": list(c.short_factors), "long_factor": list(c.long_factors)}
    elif c.scaling != "none":
        rope["factor"] = c.scaling_factor
    if c.original_context:
        rope["original_max_position_embeddings"] = c.original_context
    if c.scaling == "llama3":
        rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    if c.growth:
        rope |= {"llama_4_scaling_beta": c.growth, "mscale": 1.0, "mscale_all_dim": 1.0,
                 "beta_fast": 32.0, "beta_slow": 1.0}
    elif c.scaling == "yarn" and c.attention_factor != 1.0:  # the file's is the whole factor
        rope["attention_factor"] = c.attention_factor * (0.1 * math.log(c.scaling_factor) + 1.0)
    return rope


def hf_settings(c, is_v5):
    """What config.json says of these families beside what all of them do."""
    said = {}
    if c.architecture in CLASSES:
        said["pad_token_id"] = 0  # the defaults are beyond the vocabulary
    if c.architecture == "granite":
        said |= {"embedding_multiplier": c.embedding_scale, "logits_scaling": c.logit_divisor,
                 "residual_multiplier": c.residual_scale,
                 "attention_multiplier": c.attention_scale}
    if c.architecture == "phi3":
        said |= {"sliding_window": None}
        if c.scaling == "longrope":
            said["original_max_position_embeddings"] = c.original_context
        if not is_v5:
            said["partial_rotary_factor"] = c.rotated / c.head_dim
    if c.architecture == "smollm3" and not is_v5:
        said |= {"no_rope_layer_interval": c.rope_gap}
    if c.architecture in ("ministral3", "mistral"):
        said["sliding_window"] = c.window or None
    if c.architecture.startswith("gemma"):
        said |= {"hidden_activation": "gelu_pytorch_tanh",
                 "query_pre_attn_scalar": round(c.attention_scale ** -2),
                 "attn_logit_softcapping": c.attention_softcap or None,
                 "final_logit_softcapping": c.logit_softcap or None}
    if c.architecture.startswith(("gemma", "olmo3")):
        said["sliding_window"] = c.window
        if is_v5 or c.architecture == "olmo3":
            said["layer_types"] = ["sliding_attention" if c.is_windowed(i) else "full_attention"
                                   for i in range(c.layers)]
        elif c.architecture == "gemma3_text":
            said["sliding_window_pattern"] = c.window_period
            said["rope_local_base_freq"] = c.local_base
    return said


def hf_rope_settings(c, is_v5):
    rope = hf_rope(c)
    if not is_v5:
        scaling = None if c.scaling == "none" else rope
        if scaling and c.architecture in ("qwen2", "phi3"):  # as the files of its time say it
            scaling["type"] = scaling.pop("rope_type")
        if c.scaling == "longrope":  # beside it
            scaling.pop("original_max_position_embeddings")
        return {"rope_theta": c.rope_base, "rope_scaling": scaling}
    rope["rope_theta"] = c.rope_base
    if c.rotated != c.head_dim:
        rope["partial_rotary_factor"] = c.rotated / c.head_dim
    if c.local_base:
        rope = {"full_attention": rope, "sliding_attention": {"rope_type": "default",
                                                              "rope_theta": c.local_base}}
    return {"rope_parameters": rope}


def hf_name(name, recipe, plain_name_of):
    """The name in a folder of what GGUF calls `name`."""
    part = name.split(".")[-2]
    renamed = {"post_attention_norm": "post_attention_layernorm",
               "post_ffw_norm": "post_feedforward_layernorm", "attn_qkv": "self_attn.qkv_proj"}
    if recipe.norms != "before":
        renamed["ffn_norm"] = "pre_feedforward_layernorm"
    if recipe.fused:
        renamed["ffn_up"] = "mlp.gate_up_proj"
    if part in renamed:
        name = f"model.layers.{name.split('.')[1]}.{renamed[part]}.weight"
    else:
        name = plain_name_of(name)
    if recipe.wrapper:
        _, model, head = WRAPPERS[recipe.wrapper]
        name = name.replace("lm_head", head) if "lm_head" in name else model + name[6:]
    return name


def wrapped(recipe, written):
    """The config of a checkpoint whose text part `written` describes."""
    outside = ("architectures", "dtype", "torch_dtype", "tie_word_embeddings", "bos_token_id",
               "eos_token_id")
    text = {key: value for key, value in written.items() if key not in outside}
    whole = {key: written[key] for key in outside if key in written}
    return {**whole, "architectures": [WRAPPERS[recipe.wrapper][0]], "model_type": recipe.wrapper,
            "text_config": text, "vision_config": {"model_type": "siglip_vision_model"}}
