// One decoder a block format; ggml_blocks.cc chooses among them. Every function decodes one block.
// Floating-point operations stand in the order of the format's definition, so that results agree
// bit for bit. Source: docs/references.md [gguf].
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/float16.h"

namespace quantspec::ggml {

template <typename T>
inline T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}
inline float LoadF16(const std::byte* at) { return FloatFromF16(Load<F16>(at)); }
inline int Byte(std::byte value) { return static_cast<int>(value); }

// Scale and minimum of sub-block `index` (0..7) of Q4_K and Q5_K: 6 bits each in 12 bytes.
struct ScaleMin {
  int scale, min;
};
inline ScaleMin KScaleMin(const std::byte* packed, int index) {
  if (index < 4) return {Byte(packed[index]) & 63, Byte(packed[index + 4]) & 63};
  return {(Byte(packed[index + 4]) & 15) | (Byte(packed[index - 4]) >> 6) << 4,
          (Byte(packed[index + 4]) >> 4) | (Byte(packed[index]) >> 6) << 4};
}

void DecodeQ2K(const std::byte* block, float* out);
void DecodeQ3K(const std::byte* block, float* out);
void DecodeQ4K(const std::byte* block, float* out);
void DecodeQ5K(const std::byte* block, float* out);
void DecodeQ6K(const std::byte* block, float* out);
void DecodeIQ4NL(const std::byte* block, float* out);
void DecodeIQ4XS(const std::byte* block, float* out);
void DecodeMXFP4(const std::byte* block, float* out);

}  // namespace quantspec::ggml
