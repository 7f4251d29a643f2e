// HQ8, the number format of cache and weights: two 4-bit planes over one scale and zero a group.
// Scalar and exact: the specification that every kernel is compared with. docs/formats/hq8.md is
// the same in prose, with golden bytes.
//
//   upper U = clamp(round((x - Z) / S), 0, 15)              Z = min, S = (max - min) / 15
//   lower L = clamp(round((x - Z - U S) / (S / 16)), -8, 7)  stored as L + 8
//   draft value Z + U S; target value Z + (U + L / 16) S     [quantspec 4.2]
#pragma once

#include <cstdint>
#include <span>

#include "base/float16.h"
#include "base/view.h"

namespace quantspec {

inline constexpr int kKvGroup =
    128;  // tokens of a sealed group; also the most channels a value group
inline constexpr int kUpperLevels = 15;
inline constexpr int kLowerBias = 8;

enum class Planes : uint8_t { kUpper, kBoth };

// Scale and zero of one group, as stored.
struct GroupScale {
  F16 scale = 0;
  F16 zero = 0;
};

// Encodes x[0], x[stride], ... x[(count - 1) * stride]. `upper` and `lower` get one code a byte
// (0..15; lower biased by 8) at the same stride-free order. Values must be finite; those beyond
// the range of f16 saturate. A group whose range vanishes in f16 gets S = 0 and decodes to Z.
GroupScale EncodeGroup(const float* x, int64_t count, int64_t stride, uint8_t* upper,
                       uint8_t* lower);

// One value; `lower` is ignored with Planes::kUpper.
inline float DecodeValue(GroupScale group, uint8_t upper, uint8_t lower, Planes planes) {
  const float scale = FloatFromF16(group.scale);
  const float zero = FloatFromF16(group.zero);
  if (planes == Planes::kUpper) return zero + static_cast<float>(upper) * scale;
  const int code = 16 * upper + lower - kLowerBias;
  return zero + static_cast<float>(code) * (scale / 16.0f);
}

// Rows of a weight matrix in logical order, before a backend packs them.
// Row r, input i: codes at [r * inputs + i], scales at [r * inputs / group + i / group].
struct HqRows {
  int64_t rows = 0;
  int64_t inputs = 0;
  int group = 32;
  std::span<const uint8_t> upper;
  std::span<const uint8_t> lower;  // empty: the upper plane only
  std::span<const GroupScale> scales;
};

// Encodes `x` [rows, inputs] along its rows into caller-owned arrays of the sizes above.
void EncodeRows(ConstRows x, int group, uint8_t* upper, uint8_t* lower, GroupScale* scales);

// The largest of 128, 64, 32 that is at most `wanted` and divides `inputs`; 0 if none does.
int WeightGroup(int64_t inputs, int wanted);

// The largest value group (at most kKvGroup) that divides head_dim evenly: head_dim itself up to
// 128, 128 for 256.
inline int ValueGroup(int head_dim) { return head_dim <= kKvGroup ? head_dim : kKvGroup; }

}  // namespace quantspec
