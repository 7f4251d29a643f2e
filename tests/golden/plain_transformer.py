"""An independent transformer in plain numpy: the yardstick that the engine is compared with.

It shares no code with the engine and follows the Hugging Face conventions (half-split RoPE on
unpermuted weights), so the weight order of GGUF files is checked too. Everything is computed in
the float type of the weights it is given.
"""

import dataclasses
import math

import gguf
import numpy as np


@dataclasses.dataclass
class Config:
    architecture: str
    layers: int
    hidden: int
    ffn: int
    q_heads: int
    kv_heads: int
    head_dim: int
    rotated: int
    vocab: int
    context: int
    epsilon: float = 1e-5
    rope_base: float = 10000.0
    scaling: str = "none"  # none, linear, llama3, yarn
    scaling_factor: float = 1.0
    original_context: int = 0
    attention_factor: float = 1.0

    @property
    def permuted(self):
        """llama files hold q and k rows in the order of pairwise RoPE."""
        return self.architecture == "llama"


def permute_rows(rows, heads, rotated, inverse=False):
    """Reorders the first `rotated` rows of each head from half-split to pairwise RoPE."""
    order = np.arange(rotated).reshape(2, rotated // 2).T.ravel()
    if inverse:
        order = np.argsort(order)
    by_head = rows.reshape(heads, rows.shape[0] // heads, *rows.shape[1:]).copy()
    by_head[:, :rotated] = by_head[:, :rotated][:, order]
    return by_head.reshape(rows.shape)


def rope_frequencies(config, factors=None):
    """Radians per position of each rotated pair, and the factor on cosine and sine."""
    pairs = np.arange(config.rotated // 2, dtype=np.float64)
    own = config.rope_base ** (-2.0 * pairs / config.rotated)
    if factors is not None:
        own = own / factors.astype(np.float64)
    if config.scaling == "linear":
        return own / config.scaling_factor, 1.0
    if config.scaling == "llama3":
        # Wavelengths above the original context are divided, those below a quarter of it kept.
        wavelengths = 2 * math.pi / own
        low, high = config.original_context / 1.0, config.original_context / 4.0
        smooth = (config.original_context / wavelengths - 1.0) / (4.0 - 1.0)
        between = (1 - smooth) * own / config.scaling_factor + smooth * own
        return np.where(wavelengths > low, own / config.scaling_factor,
                        np.where(wavelengths < high, own, between)), 1.0
    if config.scaling != "yarn":
        return own, 1.0

    # Pairs that turn more than 32 times within the original context keep their frequency, those
    # that turn less than once are interpolated, with a linear ramp over the pairs between.
    def pair_turning(times):
        return (config.rotated * math.log(config.original_context / (times * 2 * math.pi))
                / (2 * math.log(config.rope_base)))

    low = max(math.floor(pair_turning(32.0)), 0)
    high = min(math.ceil(pair_turning(1.0)), config.rotated - 1)
    ramp = np.clip((pairs - low) / max(high - low, 0.001), 0.0, 1.0)
    frequencies = own * (1.0 - ramp) + own / config.scaling_factor * ramp
    return frequencies, (0.1 * math.log(config.scaling_factor) + 1.0) * config.attention_factor


def seal(values, axis, planes):
    """`values` as the HQ8 format keeps them, one group along `axis` (docs/formats/hq8.md)."""
    least = values.min(axis=axis, keepdims=True)
    zero = least.astype(np.float16).astype(np.float64)
    scale = (values.max(axis=axis, keepdims=True) - least) / 15
    scale = scale.astype(np.float16).astype(np.float64)
    upper = np.clip(np.rint((values - zero) / scale), 0, 15)
    if planes == 1:
        return zero + upper * scale
    lower = np.clip(np.rint((values - zero - upper * scale) / (scale / 16)), -8, 7)
    return zero + (upper + lower / 16) * scale


def sealed(k, v, start, end, planes, group):
    """Keys and values with tokens [start, end) sealed: keys per channel over a group's tokens,
    values per token over the head's channels."""
    k, v = k.copy(), v.copy()
    for first in range(start, end, group):
        span = slice(first, first + group)
        k[span] = seal(k[span], 0, planes)
        v[span] = seal(v[span], 2, planes)
    return k, v


class Model:
    """Weights [outputs, inputs] by GGUF name, q and k in half-split order."""

    def __init__(self, config, tensors):
        self.config = config
        self.tensors = tensors
        frequencies, self.rope_scale = rope_frequencies(config, tensors.get("rope_freqs.weight"))
        angles = np.outer(np.arange(config.context, dtype=np.float64), frequencies)
        self.cos = np.cos(angles) * self.rope_scale
        self.sin = np.sin(angles) * self.rope_scale
        self.cache_type = None  # what keys and values are rounded to; None: not at all
        self.clear()

    def clear(self):
        self.cache = [None] * self.config.layers
        self.length = 0

    def _rms_norm(self, x, weight):
        mean = np.mean(np.square(x.astype(np.float64)), axis=-1, keepdims=True)
        return (x / np.sqrt(mean + self.config.epsilon)).astype(x.dtype) * weight

    def _linear(self, x, name):
        y = x @ self.tensors[name + ".weight"].T
        bias = self.tensors.get(name + ".bias")
        return y if bias is None else y + bias

    def _rope(self, x, first):
        """x [tokens, heads, head_dim]."""
        half = self.config.rotated // 2
        cos = self.cos[first:first + x.shape[0], None, :].astype(x.dtype)
        sin = self.sin[first:first + x.shape[0], None, :].astype(x.dtype)
        a, b = x[..., :half], x[..., half:2 * half]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin, x[..., 2 * half:]], axis=-1)

    def _attend(self, layer, q, k, v, first):
        """q [tokens, q_heads, head_dim]; k, v [positions, kv_heads, head_dim]."""
        repeat = self.config.q_heads // self.config.kv_heads
        k = np.repeat(k, repeat, axis=1)
        v = np.repeat(v, repeat, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k, optimize=True) / math.sqrt(self.config.head_dim)
        positions = first + np.arange(q.shape[0])
        scores = np.where(np.arange(k.shape[0])[None, None, :] > positions[None, :, None],
                          -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        out = np.einsum("hqk,khd->qhd", weights, v, optimize=True)
        return out.reshape(q.shape[0], -1)

    def forward(self, tokens):
        """Appends `tokens`; returns the final hidden states [tokens, hidden], normalised."""
        config = self.config
        first, count = self.length, len(tokens)
        x = self.tensors["token_embd.weight"][np.asarray(tokens)]
        for layer in range(config.layers):
            name = f"blk.{layer}."
            y = self._rms_norm(x, self.tensors[name + "attn_norm.weight"])
            q = self._linear(y, name + "attn_q").reshape(count, config.q_heads, -1)
            k = self._linear(y, name + "attn_k").reshape(count, config.kv_heads, -1)
            v = self._linear(y, name + "attn_v").reshape(count, config.kv_heads, -1)
            if name + "attn_q_norm.weight" in self.tensors:
                q = self._rms_norm(q, self.tensors[name + "attn_q_norm.weight"])
                k = self._rms_norm(k, self.tensors[name + "attn_k_norm.weight"])
            q, k = self._rope(q, first), self._rope(k, first)
            if self.cache_type is not None:
                k, v = (rows.astype(self.cache_type).astype(rows.dtype) for rows in (k, v))
            if self.cache[layer] is not None:
                k = np.concatenate([self.cache[layer][0], k])
                v = np.concatenate([self.cache[layer][1], v])
            self.cache[layer] = (k, v)
            x = x + self._linear(self._attend(layer, q, k, v, first), name + "attn_output")
            y = self._rms_norm(x, self.tensors[name + "ffn_norm.weight"])
            gate = self._linear(y, name + "ffn_gate")
            gate = gate / (1.0 + np.exp(-gate))
            x = x + self._linear(gate * self._linear(y, name + "ffn_up"), name + "ffn_down")
        self.length += count
        return self._rms_norm(x, self.tensors["output_norm.weight"])

    def read_prompt(self, tokens, group=128):
        """Appends a prompt as the hierarchical cache keeps it: in chunks of two groups, each of
        which reads all chunks before it in both planes and itself as it is."""
        self.dense = [None] * self.config.layers  # keys and values before they are sealed
        chunk = 2 * group
        for start in range(0, len(tokens), chunk):
            self.forward(tokens[start:start + chunk])
            for layer, (k, v) in enumerate(self.cache):
                before = self.dense[layer]
                new = (k[start:], v[start:])
                self.dense[layer] = new if before is None else tuple(
                    np.concatenate(parts) for parts in zip(before, new))
                if self.length - start == chunk:
                    self.cache[layer] = sealed(k, v, start, self.length, 2, group)

    def as_read(self, planes, group=128):
        """This model with its cache as a reader of `planes` planes sees it after read_prompt; the
        newest two groups are read in both planes."""
        copy = Model(self.config, self.tensors)
        copy.cache_type, copy.length = self.cache_type, self.length
        older = max((self.length // (2 * group) - 1) * 2 * group, 0)
        for layer, (k, v) in enumerate(self.cache):
            k, v = k.copy(), v.copy()
            k[:older], v[:older] = (rows[:older] for rows in self.dense[layer])
            copy.cache[layer] = sealed(k, v, 0, older, planes, group)
        return copy

    def logits(self, hidden):
        head = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return hidden @ head.T


def read_gguf(path, dtype):
    """The model of a GGUF file, weights decoded to `dtype`."""
    reader = gguf.GGUFReader(path)

    def field(key, default=None):
        entry = reader.get_field(key)
        return default if entry is None else entry.contents()

    arch = field("general.architecture")
    heads = field(f"{arch}.attention.head_count")
    hidden = field(f"{arch}.embedding_length")
    head_dim = field(f"{arch}.attention.key_length", hidden // heads)
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        shape = [int(n) for n in reversed(tensor.shape)]
        tensors[tensor.name] = values.reshape(shape).astype(dtype)
    config = Config(
        architecture=arch,
        layers=field(f"{arch}.block_count"),
        hidden=hidden,
        ffn=field(f"{arch}.feed_forward_length"),
        q_heads=heads,
        kv_heads=field(f"{arch}.attention.head_count_kv", heads),
        head_dim=head_dim,
        rotated=field(f"{arch}.rope.dimension_count", head_dim),
        vocab=tensors["token_embd.weight"].shape[0],
        context=field(f"{arch}.context_length"),
        epsilon=field(f"{arch}.attention.layer_norm_rms_epsilon"),
        rope_base=field(f"{arch}.rope.freq_base", 10000.0),
        scaling=field(f"{arch}.rope.scaling.type", "none"),
        scaling_factor=field(f"{arch}.rope.scaling.factor", 1.0),
        original_context=field(f"{arch}.rope.scaling.original_context_length", 0),
        attention_factor=field(f"{arch}.rope.scaling.attn_factor", 1.0),
    )
    if config.permuted:
        for name in tensors:
            for part, count in (("attn_q.", config.q_heads), ("attn_k.", config.kv_heads)):
                if part in name:
                    tensors[name] = permute_rows(tensors[name], count, config.rotated,
                                                 inverse=True)
    return Model(config, tensors)
