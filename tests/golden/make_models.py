#!/usr/bin/env python3
"""Writes tiny random GGUF models and the logits that a correct engine computes for them.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install numpy gguf
    /tmp/golden/bin/python tests/golden/make_models.py

Output: models/*.gguf, models/cases.json and models/logits.f32 (float32, little endian; row r of a
case begins at value offset + r * vocab). The logits come from plain_transformer.py in float64.
Everything is seeded: a second run writes the same bytes.
"""

import dataclasses
import json
import pathlib
import zlib

import gguf
import numpy as np

from plain_transformer import Config, permute_rows, read_gguf
import families

FOLDER = pathlib.Path(__file__).parent / "models"
TYPES = gguf.GGMLQuantizationType
SCORED_ROWS = 8
PROMPT_TOKENS = 40
SEALING_TOKENS = 256 + SCORED_ROWS  # prompts of so many also seal


def byte_symbols():
    """The printable stand-ins that byte-level BPE uses for the 256 bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols, extra = {}, 0
    for byte in range(256):
        symbols[byte] = chr(byte) if byte in kept else chr(256 + extra)
        extra += byte not in kept
    return [symbols[byte] for byte in range(256)]


TOKENS = byte_symbols() + ["th", "the", "<|endoftext|>", "<|im_end|>"]
VOCAB = len(TOKENS)


@dataclasses.dataclass
class Recipe:
    name: str
    config: Config
    weight_type: TYPES = TYPES.F16
    tensor_types: dict = dataclasses.field(default_factory=dict)  # by the tensor's last name
    tied: bool = False
    biases: tuple = ()  # of attn_q, attn_k, attn_v, attn_output
    qk_norm: str = ""  # "head": of each, "whole": of all together
    norms: str = "before"  # or after, both
    fused: bool = False
    rope_factors: bool = False
    prompt_tokens: int = PROMPT_TOKENS
    context: int = 0  # to run it with; 0: the model's


def config(architecture, heads, kv_heads, head_dim, hidden=32, ffn=32, layers=2, **more):
    more.setdefault("rotated", head_dim)
    more.setdefault("context", 128)
    return Config(architecture=architecture, layers=layers, hidden=hidden, ffn=ffn, q_heads=heads,
                  kv_heads=kv_heads, head_dim=head_dim, vocab=VOCAB, **more)


ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
TINY = dict(heads=2, kv_heads=1, head_dim=16, layers=1)
# Written without logits: a correct engine says why it cannot run them.
REFUSED = [
    Recipe("refused-architecture", config("falcon", **TINY), weight_type=TYPES.Q8_0, tied=True),
]
SMALL_ENDS = {"token_embd": TYPES.Q8_0, "output": TYPES.Q8_0}
RECIPES = [
    Recipe("llama-gqa", config("llama", 4, 2, 16, hidden=64), weight_type=TYPES.Q8_0,
           tensor_types={"attn_q": TYPES.F16, "attn_output": TYPES.F16}),
    Recipe("llama-mha-f32", config("llama", 2, 2, 16, layers=1), weight_type=TYPES.F32,
           tensor_types=SMALL_ENDS),
    Recipe("llama-mqa-tied-bias", config("llama", 4, 1, 16), tied=True,
           biases=ATTENTION, tensor_types={"token_embd": TYPES.Q5_0}),
    Recipe("llama-long", config("llama", 2, 1, 64, context=2048, rope_base=100000.0),
           weight_type=TYPES.Q8_0, prompt_tokens=900),
    # Prompts that are longer than what the layers' windows reach together.
    Recipe("llama-windows", config("llama", 2, 1, 64, context=2048, window=100, window_period=2),
           weight_type=TYPES.Q8_0, prompt_tokens=900),
    Recipe("llama-window", config("llama", 4, 2, 16, context=2048, window=300),
           weight_type=TYPES.Q8_0, prompt_tokens=900),
    Recipe("llama-head80", config("llama", 2, 1, 80), weight_type=TYPES.BF16,
           tensor_types=SMALL_ENDS),
    Recipe("llama-head96-partial", config("llama", 2, 2, 96, rotated=64), weight_type=TYPES.Q8_0),
    Recipe("llama-linear", config("llama", 2, 1, 64, scaling="linear", scaling_factor=4.0),
           weight_type=TYPES.Q8_0),
    Recipe("llama-factors", config("llama", 2, 1, 64, rope_base=500000.0), rope_factors=True,
           weight_type=TYPES.Q8_0, tied=True),
    Recipe("llama-yarn", config("llama", 2, 1, 64, scaling="yarn", scaling_factor=4.0,
                                original_context=32), weight_type=TYPES.Q8_0),
    Recipe("llama-mixed", config("llama", 4, 2, 64, ffn=256, layers=1), weight_type=TYPES.Q4_1,
           tensor_types={"token_embd": TYPES.Q8_0, "output": TYPES.Q5_1, "attn_v": TYPES.Q5_0,
                         "attn_q": TYPES.Q4_0, "attn_output": TYPES.Q4_K,
                         "ffn_down": TYPES.Q6_K}),
    Recipe("qwen2-bias-tied", config("qwen2", 4, 2, 16, hidden=64, epsilon=1e-6,
                                     rope_base=1000000.0), weight_type=TYPES.BF16, tied=True,
           biases=ATTENTION[:3], tensor_types={"token_embd": TYPES.Q8_0}),
    Recipe("qwen2-yarn", config("qwen2", 2, 1, 32, hidden=64, rope_base=1000000.0, scaling="yarn",
                                scaling_factor=2.0, original_context=64, attention_factor=1.25),
           weight_type=TYPES.Q8_0, biases=ATTENTION[:3]),
    Recipe("qwen3-head128", config("qwen3", 2, 1, 128, epsilon=1e-6, layers=1), qk_norm="head",
           tensor_types=SMALL_ENDS),
    Recipe("qwen3-gqa4-tied", config("qwen3", 8, 2, 16, epsilon=1e-6, ffn=96), qk_norm="head",
           tied=True, weight_type=TYPES.Q8_0),
    *(Recipe(**recipe, weight_type=TYPES.Q8_0) for recipe in families.gguf_recipes(config)),
]


def random_k_quant(rng, shape, kind, deviation):
    """Random Q4_K or Q6_K blocks [outputs, bytes] whose values have about this deviation."""
    blocks = (shape[0], shape[1] // 256)
    if kind == TYPES.Q6_K:  # ql[128] qh[64] scales[16] d
        codes = rng.integers(0, 256, (*blocks, 192), dtype=np.uint8)
        scales = rng.integers(16, 64, (*blocks, 16), dtype=np.uint8)
        d = np.full((*blocks, 1), deviation / (40 * 18.5), np.float16).view(np.uint8)
        parts = [codes, scales, d]
    else:  # d dmin scales[12] qs[128]
        d = np.full((*blocks, 1), deviation / (32 * 4.6), np.float16)
        parts = [d.view(np.uint8), (d * np.float16(7.5)).view(np.uint8),
                 rng.integers(0, 256, (*blocks, 140), dtype=np.uint8)]
    return np.concatenate(parts, axis=-1).reshape(shape[0], -1)


def encode(rng, values, kind):
    """The bytes to store `values` as, and their type."""
    if kind in (TYPES.Q4_K, TYPES.Q6_K):
        return random_k_quant(rng, values.shape, kind, values.std()), kind
    return gguf.quants.quantize(values.astype(np.float32), kind), kind


def random_tensors(rng, recipe):
    """(name, values) of every tensor, q and k in half-split order."""
    c = recipe.config
    q_width, kv_width = c.q_heads * c.head_dim, c.kv_heads * c.head_dim

    def matrix(outputs, inputs, gain):
        return rng.standard_normal((outputs, inputs)) * (gain / np.sqrt(inputs))

    def vector(count):
        return 1.0 + 0.2 * rng.standard_normal(count)

    yield "token_embd.weight", rng.standard_normal((c.vocab, c.hidden))
    yield "output_norm.weight", vector(c.hidden)
    if not recipe.tied:
        yield "output.weight", matrix(c.vocab, c.hidden, 3.0)
    if recipe.rope_factors:
        yield "rope_freqs.weight", np.linspace(1.0, 8.0, c.rotated // 2)
    for layer in range(c.layers):
        name = f"blk.{layer}."
        if recipe.norms != "after":
            yield name + "attn_norm.weight", vector(c.hidden)
            yield name + "ffn_norm.weight", vector(c.hidden)
        if recipe.norms != "before":
            yield name + "post_attention_norm.weight", vector(c.hidden)
            yield name + "post_ffw_norm.weight", vector(c.hidden)
        yield name + "attn_q.weight", matrix(q_width, c.hidden, 1.7)
        yield name + "attn_k.weight", matrix(kv_width, c.hidden, 1.7)
        yield name + "attn_v.weight", matrix(kv_width, c.hidden, 1.5)
        yield name + "attn_output.weight", matrix(c.hidden, q_width, 1.5)
        yield name + "ffn_gate.weight", matrix(c.ffn, c.hidden, 1.0)
        yield name + "ffn_up.weight", matrix(c.ffn, c.hidden, 1.0)
        yield name + "ffn_down.weight", matrix(c.hidden, c.ffn, 1.5)
        widths = {"attn_q": q_width, "attn_k": kv_width, "attn_v": kv_width,
                  "attn_output": c.hidden}
        for part in recipe.biases:
            yield name + part + ".bias", 0.5 * rng.standard_normal(widths[part])
        if recipe.qk_norm:
            is_whole = recipe.qk_norm == "whole"
            yield name + "attn_q_norm.weight", 1.5 * vector(q_width if is_whole else c.head_dim)
            yield name + "attn_k_norm.weight", 1.5 * vector(kv_width if is_whole else c.head_dim)


def add_metadata(writer, recipe):
    c = recipe.config
    writer.add_name(recipe.name)
    writer.add_context_length(c.context)
    writer.add_embedding_length(c.hidden)
    writer.add_block_count(c.layers)
    writer.add_feed_forward_length(c.ffn)
    writer.add_head_count(c.q_heads)
    writer.add_head_count_kv(c.kv_heads)
    writer.add_layer_norm_rms_eps(c.epsilon)
    writer.add_rope_freq_base(c.rope_base)
    writer.add_vocab_size(c.vocab)
    if c.head_dim * c.q_heads != c.hidden:
        writer.add_key_length(c.head_dim)
        writer.add_value_length(c.head_dim)
    if c.permuted or c.rotated != c.head_dim:
        writer.add_rope_dimension_count(c.rotated)
    families.add_metadata(writer, c)
    if c.scaling == "longrope":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_attn_factors(c.attention_factor)
        writer.add_rope_scaling_orig_ctx_len(c.original_context)
    elif c.scaling != "none":
        writer.add_rope_scaling_type(gguf.RopeScalingType(c.scaling))
        writer.add_rope_scaling_factor(c.scaling_factor)
    if c.scaling == "yarn":
        writer.add_rope_scaling_orig_ctx_len(c.original_context)
        if c.attention_factor != 1.0 and not c.growth:  # there by another key
            writer.add_rope_scaling_attn_factors(c.attention_factor)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.NORMAL] * (VOCAB - 2) + [gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(VOCAB - 2)
    writer.add_eos_token_id(VOCAB - 1)
    writer.add_add_bos_token(False)


def write_model(recipe, path):
    rng = np.random.default_rng(zlib.crc32(recipe.name.encode()))
    writer = gguf.GGUFWriter(path, recipe.config.architecture)
    add_metadata(writer, recipe)
    tensors = random_tensors(rng, recipe)
    if recipe.fused:
        tensors = families.fused(dict(tensors)).items()
    for name, values in tensors:
        part = name.split(".")[-2]
        kind = TYPES.F32
        if values.ndim == 2:
            kind = recipe.tensor_types.get(part, recipe.weight_type)
        stored, kind = encode(rng, values, kind)
        if recipe.config.permuted and part in ("attn_q", "attn_k"):
            heads = recipe.config.q_heads if part == "attn_q" else recipe.config.kv_heads
            stored = permute_rows(stored, heads, recipe.config.rotated)
        writer.add_tensor(name, stored, raw_dtype=kind)
    for name, values in families.rope_tensors(recipe.config):
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prompt_of(recipe):
    rng = np.random.default_rng(zlib.crc32(b"prompt " + recipe.name.encode()))
    return rng.integers(0, VOCAB, recipe.prompt_tokens).tolist()


def case_of(recipe, model, view, tokens):
    """What cases.json says of a view of a model; where its rows begin is write_cases' to add."""
    return {"model": model, "view": view, "tokens": tokens, "rows": SCORED_ROWS, "vocab": VOCAB,
            "offset": 0, **({"context": recipe.context} if recipe.context else {})}


def write_cases(folder, cases):
    """cases: pairs of a case and its rows of logits."""
    offset = 0
    for case, rows in cases:
        case["offset"] = offset
        offset += rows.size
    with open(folder / "cases.json", "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(case) for case, _ in cases) + "\n]\n")
    with open(folder / "logits.f32", "wb") as out:
        for _, rows in cases:
            out.write(rows.astype("<f4").tobytes())


def main():
    FOLDER.mkdir(exist_ok=True)
    for recipe in REFUSED:
        write_model(recipe, FOLDER / f"{recipe.name}.gguf")
    cases = []
    for recipe in RECIPES:
        path = FOLDER / f"{recipe.name}.gguf"
        write_model(recipe, path)
        model = read_gguf(path, np.float64, recipe.config)
        tokens = prompt_of(recipe)
        model.forward(tokens[:-SCORED_ROWS])
        views = {"full": model}
        all_windowed = all(map(recipe.config.is_windowed, range(recipe.config.layers)))
        if recipe.prompt_tokens >= SEALING_TOKENS:
            model = read_gguf(path, np.float64, recipe.config)
            model.cache_type = np.float16
            model.read_prompt(tokens[:-SCORED_ROWS])
            views["hierarchical target"] = model.as_read(planes=2)
            if not all_windowed:
                views["hierarchical draft"] = model.as_read(planes=1)
        for view, reader in views.items():
            rows = reader.logits(reader.forward(tokens[-SCORED_ROWS:]))
            case = case_of(recipe, path.name, view, tokens)
            full_layers = [not recipe.config.is_windowed(i) for i in range(recipe.config.layers)]
            if not all(full_layers):
                case["full_share"] = sum(full_layers) / len(full_layers)
            # Through the windows of all layers the last row depends on no earlier token.
            reach = (recipe.config.window - 1) * recipe.config.layers
            if all_windowed and reach < len(tokens):
                case["first_seen"] = len(tokens) - 1 - reach
            cases.append((case, rows))
    write_cases(FOLDER, cases)


if __name__ == "__main__":
    main()
