"""Weights as the quantised checkpoints of the Hugging Face hub keep them, in plain numpy.

Each function takes a matrix [outputs, inputs] and gives its tensors, suffix -> (dtype, shape,
bytes), and the values that they stand for.
"""

import numpy as np

from hf_folder import decode, encode

FP8_BLOCK = 128


def rounded(values, dtype="bf16"):
    data = encode(values, dtype)
    return data, decode(data, dtype, values.shape)


def pack(codes, bits, axis):
    """Codes along `axis` in 32-bit words, the first in the lowest bits, padded with zeros."""
    per_word = 32 // bits
    codes = np.moveaxis(codes, axis, -1).astype(np.uint32)
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % per_word)])
    words = codes.reshape(*codes.shape[:-1], -1, per_word)
    shifts = np.arange(per_word, dtype=np.uint32) * bits
    return np.moveaxis(np.bitwise_or.reduce(words << shifts, axis=-1), -1, axis)


def compressed_tensors(values, bits, group, symmetric):
    rows, columns = values.shape
    group = group or columns
    most = 2**bits - 1
    x = values.reshape(rows, -1, group)
    if symmetric:
        scale = np.abs(x).max(-1) / (most / 2)
        zero = np.full(scale.shape, 2 ** (bits - 1))
    else:
        low, high = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
        scale = (high - low) / most
    scale_data, scale = rounded(scale)
    if not symmetric:
        zero = np.clip(np.rint(-low / scale), 0, most)
    codes = np.clip(np.rint(x / scale[..., None]) + zero[..., None], 0, most)
    made = {
        "weight_packed": ("I32", (rows, columns * bits // 32),
                          pack(codes.reshape(rows, columns), bits, 1).astype("<u4").tobytes()),
        "weight_scale": ("BF16", scale.shape, scale_data),
        "weight_shape": ("I64", (2,), np.array([rows, columns], "<i8").tobytes())}
    if not symmetric:
        words = pack(zero, bits, 0).astype("<u4")
        made["weight_zero_point"] = ("I32", words.shape, words.tobytes())
    return made, ((codes - zero[..., None]) * scale[..., None]).reshape(rows, columns)


def int8_channels(values):
    """Unpacked int8 with a scale an output, as int-quantized writes it."""
    data, scale = rounded(np.abs(values).max(-1, keepdims=True) / 127)
    codes = np.clip(np.rint(values / scale), -128, 127)
    return {"weight": ("I8", values.shape, codes.astype("i1").tobytes()),
            "weight_scale": ("BF16", scale.shape, data)}, codes * scale


def mlx(values, bits, group):
    rows, columns = values.shape
    most = 2**bits - 1
    x = values.reshape(rows, -1, group)
    low, high = x.min(-1), x.max(-1)
    # The end of larger magnitude is met exactly, so scales may be negative.
    from_low = np.abs(low) > np.abs(high)
    scale_data, scale = rounded(np.where(from_low, high - low, low - high) / most)
    bias_data, bias = rounded(np.where(from_low, low, high))
    codes = np.clip(np.rint((x - bias[..., None]) / scale[..., None]), 0, most)
    words = pack(codes.reshape(rows, columns), bits, 1).astype("<u4")
    return {"weight": ("U32", words.shape, words.tobytes()),
            "scales": ("BF16", scale.shape, scale_data),
            "biases": ("BF16", bias.shape, bias_data)}, (
                codes * scale[..., None] + bias[..., None]).reshape(rows, columns)


def e4m3_values():
    byte = np.arange(256)
    exponent, mantissa = byte >> 3 & 15, byte & 7
    value = np.where(exponent == 0, mantissa / 512.0, (8 + mantissa) * 2.0 ** (exponent - 10))
    value = np.where(byte & 127 == 127, np.nan, value)
    return np.where(byte & 128, -value, value)


def fp8(values, is_block):
    rows, columns = values.shape
    block = (FP8_BLOCK, FP8_BLOCK) if is_block else (rows, columns)
    counts = (-(-rows // block[0]), -(-columns // block[1]))
    scale = np.zeros(counts)
    for i in range(counts[0]):
        for j in range(counts[1]):
            part = values[i * block[0]:(i + 1) * block[0], j * block[1]:(j + 1) * block[1]]
            scale[i, j] = np.abs(part).max() / 448
    scale = scale.astype(np.float32).astype(np.float64)
    whole = np.repeat(np.repeat(scale, block[0], 0), block[1], 1)[:rows, :columns]
    table = e4m3_values()
    distance = np.abs((values / whole)[..., None] - table)
    codes = np.nanargmin(distance, axis=-1)
    shape = counts if is_block else (1,)
    name = "weight_scale_inv" if is_block else "weight_scale"
    return {"weight": ("F8_E4M3", values.shape, codes.astype(np.uint8).tobytes()),
            name: ("F32", shape, scale.astype("<f4").tobytes())}, table[codes] * whole


AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # outputs in the order in which a word holds them


def affine(values, bits, group, symmetric):
    """Codes, zeros and binary16 scales: [outputs, groups, group], [outputs, groups] twice."""
    most = 2**bits - 1
    x = values.reshape(values.shape[0], -1, group)
    if symmetric:
        data, scale = rounded(np.abs(x).max(-1) / (most / 2), "f16")
        zero = np.full(scale.shape, 2 ** (bits - 1))
    else:
        low, high = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
        data, scale = rounded((high - low) / most, "f16")
        # v1 of GPTQ cannot store the zero 0 but as the largest code.
        zero = np.clip(np.rint(-low / scale), 0, most)
    codes = np.clip(np.rint(x / scale[..., None]) + zero[..., None], 0, most)
    return codes, zero, scale, ((codes - zero[..., None]) * scale[..., None]).reshape(values.shape)


def awq(values, group):
    codes, zero, scale, stands_for = affine(values, 4, group, False)
    rows, columns = values.shape

    def packed(matrix):  # [.., outputs]
        order = matrix.reshape(*matrix.shape[:-1], -1, 8)[..., AWQ_ORDER]
        return pack(order.reshape(matrix.shape), 4, -1).astype("<u4")

    words, zeros = packed(codes.reshape(rows, columns).T), packed(zero.T)
    return {"qweight": ("I32", words.shape, words.tobytes()),
            "qzeros": ("I32", zeros.shape, zeros.tobytes()),
            "scales": ("F16", scale.T.shape, encode(scale.T, "f16"))}, stands_for


def gptq(values, bits, group, symmetric, version):
    group = group if group > 0 else values.shape[1]
    codes, zero, scale, stands_for = affine(values, bits, group, symmetric)
    rows, columns = values.shape
    words = pack(codes.reshape(rows, columns).T, bits, 0).astype("<u4")
    # Symmetric files are known to hold anything here: they are not to be read.
    stored = np.zeros_like(zero) if symmetric else (zero - (version == 1)) % 2**bits
    zeros = pack(stored.T, bits, -1).astype("<u4")
    order = (np.arange(columns) // group).astype("<i4")
    return {"qweight": ("I32", words.shape, words.tobytes()),
            "qzeros": ("I32", zeros.shape, zeros.tobytes()),
            "scales": ("F16", scale.T.shape, encode(scale.T, "f16")),
            "g_idx": ("I32", order.shape, order.tobytes())}, stands_for
