#!/usr/bin/env python3
"""Random blocks of every GGML type and their values as the `gguf` package decodes them.

Writes ggml_blocks.bin, records of: type, values, bytes of the blocks (uint32 each), the blocks, the values
(float32). Read by src/quant/ggml_blocks_test.cc. Needs: pip install gguf numpy.
"""
import pathlib
import struct

import gguf
import numpy as np

BLOCKS = 6
# Offsets of f16 scales inside a block: random bits could be NaN there.
SCALES = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "BF16": [], "F32": [],
}


def main():
    random = np.random.default_rng(20260101)
    out = bytearray()
    for name, scales in SCALES.items():
        kind = gguf.GGMLQuantizationType[name]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = BLOCKS * max(1, 32 // values)
        raw = random.integers(0, 256, (blocks, size), dtype=np.uint8)
        for offset in scales:
            scale = (random.standard_normal(blocks) * 0.05).astype(np.float16)
            raw[:, offset:offset + 2] = scale.view(np.uint8).reshape(blocks, 2)
        if name == "MXFP4":
            raw[:, 0] = [0, 1, 2, 127, 200, 252]  # the first two are subnormal, the last is the largest
        if name == "F16":
            raw[:16, 1] &= 0x83  # zeros and subnormals
        if name in ("F32", "BF16"):
            exact = (random.standard_normal(blocks)).astype(np.float32)
            if name == "F32":
                raw = exact.view(np.uint8).reshape(blocks, 4)
            else:
                raw = exact.view(np.uint8).reshape(blocks, 4)[:, 2:].copy()
        decoded = gguf.quants.dequantize(raw.reshape(-1) if values == 1 else raw, kind)
        if name == "F32":
            decoded = raw.copy().view(np.float32)
        if name == "F16":
            decoded = raw.copy().view(np.float16).astype(np.float32)
        decoded = np.ascontiguousarray(decoded, dtype=np.float32).reshape(-1)
        assert decoded.size == blocks * values and np.isfinite(decoded).all(), name
        out += struct.pack("<III", int(kind), decoded.size, raw.size)
        out += raw.tobytes() + decoded.tobytes()
    path = pathlib.Path(__file__).with_name("ggml_blocks.bin")
    path.write_bytes(bytes(out))
    print(path, len(out), "bytes")


if __name__ == "__main__":
    main()
