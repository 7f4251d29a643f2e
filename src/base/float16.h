// Scalar conversions between float and the two 16-bit formats, bit-exact with the hardware's
// (round to nearest even).
#pragma once

#include <bit>
#include <cstdint>

namespace quantspec {

using F16 = uint16_t;   // IEEE binary16, as bits
using Bf16 = uint16_t;  // the upper half of a binary32, as bits

inline float FloatFromF16(F16 half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1Fu;
  const uint32_t mantissa = half & 0x3FFu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

inline F16 F16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<F16>(sign | 0x7E00u);   // NaN
  if (magnitude >= 0x47800000u) return static_cast<F16>(sign | 0x7C00u);  // 65536 and above
  if (magnitude < 0x38800000u) {  // subnormal or zero: let the float adder round
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<F16>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<F16>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

// The nearest finite f16: cache entries and scales saturate instead of becoming infinite, and NaN
// becomes 65504.
inline F16 F16FromFloatSaturated(float value) {
  if (!(value <= 65504.0f)) value = 65504.0f;
  if (value < -65504.0f) value = -65504.0f;
  return F16FromFloat(value);
}

inline float FloatFromBf16(Bf16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

inline Bf16 Bf16FromFloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<Bf16>((bits >> 16) | 0x40u);  // NaN
  return static_cast<Bf16>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace quantspec
