// Formats whose codes index a table of values.

#include <bit>

#include "quant/ggml_decode.h"

namespace quantspec::ggml {
namespace {

constexpr float kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
// Twice the values of E2M1, as the format defines its scale for them.
constexpr float kMXFP4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// 16 bytes: low nibbles are the first 16 values, high nibbles the others.
void DecodeNibbles(const std::byte* codes, const float* table, float scale, float* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * table[Byte(codes[i]) & 15];
    out[i + 16] = scale * table[Byte(codes[i]) >> 4];
  }
}

// Half of 2^(exponent - 127).
float HalfPowerOfTwo(int exponent) {
  const uint32_t bits =
      exponent < 2 ? 0x00200000u << exponent : static_cast<uint32_t>(exponent - 1) << 23;
  return std::bit_cast<float>(bits);
}

}  // namespace

void DecodeIQ4NL(const std::byte* block, float* out) {
  DecodeNibbles(block + 2, kIQ4Values, LoadF16(block), out);
}

// d, high bits of 8 scales (2 each), low bits of 8 scales (4 each), codes[128]
void DecodeIQ4XS(const std::byte* block, float* out) {
  const float d = LoadF16(block);
  const int high = Load<uint16_t>(block + 2);
  for (int index = 0; index < 8; ++index) {
    const int low4 = Byte(block[4 + index / 2]) >> (index % 2 * 4) & 15;
    const int high2 = high >> (2 * index) & 3;
    const float scale = d * static_cast<float>((low4 | high2 << 4) - 32);
    DecodeNibbles(block + 8 + 16 * index, kIQ4Values, scale, out + 32 * index);
  }
}

void DecodeMXFP4(const std::byte* block, float* out) {
  DecodeNibbles(block + 1, kMXFP4Values, HalfPowerOfTwo(Byte(block[0])), out);
}

}  // namespace quantspec::ggml
