// Formats with blocks of 256 values ("K quants").

#include "quant/ggml_decode.h"

namespace quantspec::ggml {

// scales[16] (4-bit scale, 4-bit min), codes[64] of 2 bits, d, dmin
void DecodeQ2K(const std::byte* block, float* out) {
  const std::byte* scales = block;
  const std::byte* codes = block + 16;
  const float d = LoadF16(block + 80), dmin = LoadF16(block + 82);
  for (int half = 0; half < 2; ++half, codes += 32) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (int part = 0; part < 2; ++part, ++scales) {
        const float scale = d * static_cast<float>(Byte(*scales) & 15);
        const float min = dmin * static_cast<float>(Byte(*scales) >> 4);
        for (int i = 0; i < 16; ++i) {
          *out++ = scale * static_cast<float>(Byte(codes[16 * part + i]) >> shift & 3) - min;
        }
      }
    }
  }
}

// high bits[32], codes[64] of 2 low bits, scales[12] (16 of 6 bits), d
void DecodeQ3K(const std::byte* block, float* out) {
  const std::byte* high = block;
  const std::byte* codes = block + 32;
  const std::byte* packed = block + 96;
  const float d = LoadF16(block + 108);
  int index = 0;
  for (int half = 0; half < 2; ++half, codes += 32) {
    for (int shift = 0; shift < 8; shift += 2) {
      const int bit = 1 << (4 * half + shift / 2);
      for (int part = 0; part < 2; ++part, ++index) {
        const int low4 = index < 8 ? Byte(packed[index]) & 15 : Byte(packed[index - 8]) >> 4;
        const int high2 = Byte(packed[8 + index % 4]) >> (index / 4 * 2) & 3;
        const float scale = d * static_cast<float>((low4 | high2 << 4) - 32);
        for (int i = 16 * part; i < 16 * part + 16; ++i) {
          const int code = (Byte(codes[i]) >> shift & 3) - ((Byte(high[i]) & bit) != 0 ? 0 : 4);
          *out++ = scale * static_cast<float>(code);
        }
      }
    }
  }
}

// d, dmin, scales[12] (8 scales and mins of 6 bits), codes[128] of 4 bits
void DecodeQ4K(const std::byte* block, float* out) {
  const float d = LoadF16(block), dmin = LoadF16(block + 2);
  const std::byte* codes = block + 16;
  for (int index = 0; index < 8; ++index, codes += index % 2 == 0 ? 32 : 0) {
    const ScaleMin packed = KScaleMin(block + 4, index);
    const float scale = d * static_cast<float>(packed.scale);
    const float min = dmin * static_cast<float>(packed.min);
    const int shift = index % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      *out++ = scale * static_cast<float>(Byte(codes[i]) >> shift & 15) - min;
    }
  }
}

// d, dmin, scales[12], high bits[32], codes[128] of 4 low bits
void DecodeQ5K(const std::byte* block, float* out) {
  const float d = LoadF16(block), dmin = LoadF16(block + 2);
  const std::byte* high = block + 16;
  const std::byte* codes = block + 48;
  for (int index = 0; index < 8; ++index, codes += index % 2 == 0 ? 32 : 0) {
    const ScaleMin packed = KScaleMin(block + 4, index);
    const float scale = d * static_cast<float>(packed.scale);
    const float min = dmin * static_cast<float>(packed.min);
    const int shift = index % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int code = (Byte(codes[i]) >> shift & 15) | (Byte(high[i]) >> index & 1) << 4;
      *out++ = scale * static_cast<float>(code) - min;
    }
  }
}

// codes[128] of 4 low bits, high[64] of 2 bits, scales[16] of 8 bits, d
void DecodeQ6K(const std::byte* block, float* out) {
  const std::byte* low = block;
  const std::byte* high = block + 128;
  const std::byte* scales = block + 192;
  const float d = LoadF16(block + 208);
  for (int half = 0; half < 2; ++half, low += 64, high += 32, scales += 8) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 32; ++i) {
        const int low4 = Byte(low[quarter % 2 * 32 + i]) >> (quarter / 2 * 4) & 15;
        const int high2 = Byte(high[i]) >> (quarter * 2) & 3;
        const float scale = d * static_cast<float>(Load<int8_t>(scales + 2 * quarter + i / 16));
        *out++ = scale * static_cast<float>((low4 | high2 << 4) - 32);
      }
    }
  }
}

}  // namespace quantspec::ggml
