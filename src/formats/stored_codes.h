// Codes of 4 or 8 bits as quantised matrices keep them, and what they become in HQ8.
#pragma once

#include <cstdint>

#include "base/float16.h"
#include "quant/hq8.h"

namespace quantspec {

// The code at `place` of a word, of those that it holds from its lowest bits on.
inline uint8_t CodeIn(uint32_t word, int64_t place, int bits) {
  const uint32_t mask = bits == 4 ? 15 : 255;
  return static_cast<uint8_t>(word >> (place * bits) & mask);
}

// The zero of a matrix that stores none.
inline uint8_t MiddleCode(int bits) { return bits == 4 ? 8 : 128; }

// Z and S of codes c that stand for least + c * scale: with 8 bits the lower plane counts from the
// middle of a step of the upper.
inline GroupScale ScaleOfCodes(int bits, float scale, float least) {
  if (bits == 4) return {F16FromFloatSaturated(scale), F16FromFloatSaturated(least)};
  return {F16FromFloatSaturated(16.0f * scale), F16FromFloatSaturated(least + 8.0f * scale)};
}

}  // namespace quantspec
