"""Writes safetensors files by the format's description, without its library."""

import json
import struct

import numpy as np

DTYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16"}


def encode(values, dtype):
    """`values` as bytes; bf16 rounded to nearest even."""
    if dtype == "f32":
        return values.astype("<f4").tobytes()
    if dtype == "f16":
        return values.astype("<f2").tobytes()
    bits = np.ascontiguousarray(values, "<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()


def decode(data, dtype, shape):
    """Float64 values of bytes that encode() made."""
    if dtype == "bf16":
        values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(data, "<f4" if dtype == "f32" else "<f2")
    return values.astype(np.float64).reshape(shape)


def write_raw(path, entries):
    """entries: name -> (dtype as the file has it, shape, bytes)."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in entries.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in entries.values():
            out.write(data)


def write_safetensors(path, tensors, dtype):
    """tensors: name -> float array; `dtype` f32, f16 or bf16."""
    write_raw(path, {name: (DTYPES[dtype], values.shape, encode(values, dtype))
                     for name, values in tensors.items()})
