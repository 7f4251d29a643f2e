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
    scaling: str = "none"  # none, linear, llama3, yarn, longrope
    scaling_factor: float = 1.0
    original_context: int = 0
    attention_factor: float = 1.0  # longrope: the whole one
    short_factors: tuple = ()
    long_factors: tuple = ()
    is_long: bool = False
    rope_gap: int = 0  # every so many layers one is without RoPE
    window: int = 0  # tokens a query of a windowed layer sees
    window_period: int = 1  # all layers but every last of so many have the window; 1: all have it
    local_base: float = 0.0  # of the plain RoPE of windowed layers; 0: they have that of the others
    growth: float = 0.0  # of queries, by 1 + growth log(1 + floor(position / original_context))
    activation: str = "silu"  # or gelu
    attention_scale: float = 0.0  # 0: 1 / sqrt(head_dim)
    attention_softcap: float = 0.0
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_divisor: float = 1.0
    logit_softcap: float = 0.0

    @property
    def permuted(self):
        """These files hold q and k rows in the order of pairwise RoPE."""
        return self.architecture in ("llama", "granite", "smollm3", "mistral3")

    def is_windowed(self, layer):
        return self.window > 0 and (self.window_period == 1 or (layer + 1) % self.window_period != 0)

    def has_rope(self, layer):
        return self.rope_gap == 0 or (layer + 1) % self.rope_gap != 0


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
    if config.scaling == "longrope":
        chosen = config.long_factors if config.is_long else config.short_factors
        return own / np.asarray(chosen, np.float64), config.attention_factor
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


def soft_cap(values, cap):
    return values if cap == 0 else np.tanh(values / cap) * cap


class Model:
    """Weights [outputs, inputs] by GGUF name, q and k in half-split order. Which norms there are is
    told by the names of their weights, and what the norms of q and k span by their sizes."""

    def __init__(self, config, tensors):
        self.config = config
        self.tensors = tensors
        self.tables = self._tables(*rope_frequencies(config, tensors.get("rope_freqs.weight")))
        self.local_tables = self.tables
        if config.local_base:
            plain = dataclasses.replace(config, scaling="none", rope_base=config.local_base)
            self.local_tables = self._tables(*rope_frequencies(plain))
        self.cache_type = None  # what keys and values are rounded to; None: not at all
        self.clear()

    def _tables(self, frequencies, scale):
        """Cosine and sine of every position and pair."""
        angles = np.outer(np.arange(self.config.context, dtype=np.float64), frequencies)
        return np.cos(angles) * scale, np.sin(angles) * scale

    def clear(self):
        self.cache = [None] * self.config.layers
        self.length = 0

    def _rms_norm(self, x, weight):
        """x itself if there is no weight."""
        if weight is None:
            return x
        mean = np.mean(np.square(x.astype(np.float64)), axis=-1, keepdims=True)
        return (x / np.sqrt(mean + self.config.epsilon)).astype(x.dtype) * weight

    def _linear(self, x, name):
        y = x @ self.tensors[name + ".weight"].T
        bias = self.tensors.get(name + ".bias")
        return y if bias is None else y + bias

    def _rope(self, x, first, layer):
        """x [tokens, heads, head_dim]."""
        if not self.config.has_rope(layer):
            return x
        half = self.config.rotated // 2
        tables = self.local_tables if self.config.is_windowed(layer) else self.tables
        cos, sin = (table[first:first + x.shape[0], None, :].astype(x.dtype) for table in tables)
        a, b = x[..., :half], x[..., half:2 * half]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin, x[..., 2 * half:]], axis=-1)

    def _attend(self, layer, q, k, v, first):
        """q [tokens, q_heads, head_dim]; k, v [positions, kv_heads, head_dim]."""
        repeat = self.config.q_heads // self.config.kv_heads
        k = np.repeat(k, repeat, axis=1)
        v = np.repeat(v, repeat, axis=1)
        scale = self.config.attention_scale or 1 / math.sqrt(self.config.head_dim)
        scores = np.einsum("qhd,khd->hqk", q, k, optimize=True) * scale
        scores = soft_cap(scores, self.config.attention_softcap)
        behind = (first + np.arange(q.shape[0]))[:, None] - np.arange(k.shape[0])[None, :]
        hidden = behind < 0
        if self.config.is_windowed(layer):
            hidden |= behind >= self.config.window
        scores = np.where(hidden[None], -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        out = np.einsum("hqk,khd->qhd", weights, v, optimize=True)
        return out.reshape(q.shape[0], -1)

    def _projected(self, y, name, heads):
        """y through the projection, by heads [tokens, heads, head_dim], normalised if it has a norm
        of all heads or of each."""
        rows = self._linear(y, name)
        norm = self.tensors.get(name + "_norm.weight")
        if norm is not None and norm.size == rows.shape[1]:
            rows, norm = self._rms_norm(rows, norm), None
        return self._rms_norm(rows.reshape(len(y), heads, -1), norm)

    def _add(self, x, part, norm):
        return x + self._rms_norm(part, self.tensors.get(norm)) * self.config.residual_scale

    def forward(self, tokens):
        """Appends `tokens`; returns the final hidden states [tokens, hidden], normalised."""
        config = self.config
        first, count = self.length, len(tokens)
        x = self.tensors["token_embd.weight"][np.asarray(tokens)] * config.embedding_scale
        for layer in range(config.layers):
            name = f"blk.{layer}."
            y = self._rms_norm(x, self.tensors.get(name + "attn_norm.weight"))
            q = self._projected(y, name + "attn_q", config.q_heads)
            k = self._projected(y, name + "attn_k", config.kv_heads)
            v = self._projected(y, name + "attn_v", config.kv_heads)
            q, k = self._rope(q, first, layer), self._rope(k, first, layer)
            if config.growth:
                periods = (first + np.arange(count)) // config.original_context
                q = q * (1 + config.growth * np.log(1 + periods)).astype(q.dtype)[:, None, None]
            if self.cache_type is not None:
                k, v = (rows.astype(self.cache_type).astype(rows.dtype) for rows in (k, v))
            if self.cache[layer] is not None:
                k = np.concatenate([self.cache[layer][0], k])
                v = np.concatenate([self.cache[layer][1], v])
            self.cache[layer] = (k, v)
            attended = self._linear(self._attend(layer, q, k, v, first), name + "attn_output")
            x = self._add(x, attended, name + "post_attention_norm.weight")
            y = self._rms_norm(x, self.tensors.get(name + "ffn_norm.weight"))
            gate = self._linear(y, name + "ffn_gate")
            if config.activation == "gelu":
                inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate ** 3)
                gate = 0.5 * gate * (1.0 + np.tanh(inner))
            else:
                gate = gate / (1.0 + np.exp(-gate))
            fed = self._linear(gate * self._linear(y, name + "ffn_up"), name + "ffn_down")
            x = self._add(x, fed, name + "post_ffw_norm.weight")
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
                if self.length - start == chunk and not self.config.is_windowed(layer):
                    self.cache[layer] = sealed(k, v, start, self.length, 2, group)

    def as_read(self, planes, group=128):
        """This model with its cache as a reader of `planes` planes sees it after read_prompt; the
        newest two groups are read in both planes."""
        copy = Model(self.config, self.tensors)
        copy.cache_type, copy.length = self.cache_type, self.length
        older = max((self.length // (2 * group) - 1) * 2 * group, 0)
        for layer, (k, v) in enumerate(self.cache):
            if self.config.is_windowed(layer):  # whose rows are never sealed
                copy.cache[layer] = (k, v)
                continue
            k, v = k.copy(), v.copy()
            k[:older], v[:older] = (rows[:older] for rows in self.dense[layer])
            copy.cache[layer] = sealed(k, v, 0, older, planes, group)
        return copy

    def logits(self, hidden):
        head = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        return soft_cap(hidden @ head.T / self.config.logit_divisor, self.config.logit_softcap)


def split_fused(config, tensors):
    """Matrices that stand for several, one above the other, as these."""
    q, kv = config.q_heads * config.head_dim, config.kv_heads * config.head_dim
    for name in list(tensors):
        if name.endswith("attn_qkv.weight"):
            rows = tensors.pop(name)
            for part, first, last in (("q", 0, q), ("k", q, q + kv), ("v", q + kv, q + 2 * kv)):
                tensors[name.replace("qkv", part)] = rows[first:last]
        elif name.endswith("ffn_up.weight") and len(tensors[name]) == 2 * config.ffn:
            rows = tensors.pop(name)
            tensors[name.replace("ffn_up", "ffn_gate")] = rows[:config.ffn]
            tensors[name] = rows[config.ffn:]
    return tensors


def read_gguf(path, dtype, config=None):
    """The model of a GGUF file, weights decoded to `dtype`; without a `config` of the llama, qwen2 or
    qwen3 architecture, with constants as the file has them."""
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
    config = config or Config(
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
    split_fused(config, tensors)
    if config.permuted:
        for name in tensors:
            for part, count in (("attn_q.", config.q_heads), ("attn_k.", config.kv_heads)):
                if part in name:
                    tensors[name] = permute_rows(tensors[name], count, config.rotated,
                                                 inverse=True)
    return Model(config, tensors)
