"""The cache of llama.cpp as bytes, as far as llama_cpp_worker.py needs it."""

import struct


def repeated(state, count):
    """The state of a sequence (llama_state_seq_get_data) with its rows repeated to `count` tokens:
    a magic number, two words, the number of cells; a position and one sequence for each; whether
    values are transposed, the number of layers; each layer's keys, then each one's values: type,
    bytes a row, rows."""
    cells, = struct.unpack_from("<I", state, 12)
    at = 16 + 12 * cells
    transposed, layers = struct.unpack_from("<II", state, at)
    if transposed:
        raise ValueError("llama.cpp's cache has transposed values; flash attention would not")
    parts = [state[:12], struct.pack("<I", count)]
    parts += [struct.pack("<iII", position, 1, 0) for position in range(count)]
    parts.append(state[at:at + 8])
    at += 8
    for _ in range(2 * layers):
        row, = struct.unpack_from("<Q", state, at + 4)
        rows = state[at + 12:at + 12 + cells * row]
        parts.append(state[at:at + 12])
        parts.append((rows * (count // cells + 1))[:count * row])
        at += 12 + cells * row
    if at != len(state):
        raise ValueError(f"the layout of llama.cpp's cache is not the one expected: {at} bytes "
                         f"understood, {len(state)} found")
    return b"".join(parts)
