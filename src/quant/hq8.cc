#include "quant/hq8.h"

#include <algorithm>

namespace quantspec {
namespace {

// Adding 1.5 * 2^23 leaves a float rounded to an integer (ties to even) in its low mantissa bits.
constexpr float kRound = 12582912.0f;
constexpr int64_t kChunk = kKvGroup;  // values encoded at a time

uint8_t RoundedCode(float x, int bias) {
  return static_cast<uint8_t>(static_cast<int32_t>((x + kRound) - kRound) + bias);
}

// NaN gives `low`, so that every code is in its range. Two loops of one selection each: compilers
// turn both in one loop into jumps, which they do not vectorise.
void Clamp(float* x, int64_t count, float low, float high) {
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] > low ? x[i] : low;
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] < high ? x[i] : high;
}

// Widens [*least, *most] to hold all of `x`; four independent chains.
void Widen(const float* x, int64_t count, float* least, float* most) {
  constexpr int kLanes = 4;
  float low[kLanes], high[kLanes];
  std::fill(low, low + kLanes, *least);
  std::fill(high, high + kLanes, *most);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
    for (int j = 0; j < kLanes; ++j) high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
  }
  for (; i < count; ++i) {
    low[0] = std::min(low[0], x[i]);
    high[0] = std::max(high[0], x[i]);
  }
  *least = *std::min_element(low, low + kLanes);
  *most = *std::max_element(high, high + kLanes);
}

// At most kChunk values.
void EncodeChunk(GroupScale group, const float* x, int64_t count, uint8_t* upper, uint8_t* lower) {
  const float zero = FloatFromF16(group.zero);
  const float scale = FloatFromF16(group.scale);
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  float offset[kChunk], code[kChunk];
  for (int64_t i = 0; i < count; ++i) offset[i] = x[i] - zero;
  for (int64_t i = 0; i < count; ++i) code[i] = offset[i] * inverse;
  Clamp(code, count, 0, kUpperLevels);
  for (int64_t i = 0; i < count; ++i) upper[i] = RoundedCode(code[i], 0);
  for (int64_t i = 0; i < count; ++i) {
    code[i] = (offset[i] - static_cast<float>(upper[i]) * scale) * (16.0f * inverse);
  }
  Clamp(code, count, -kLowerBias, kLowerBias - 1);
  for (int64_t i = 0; i < count; ++i) lower[i] = RoundedCode(code[i], kLowerBias);
}

// Values x[0], x[stride], ... side by side: `x` itself or a copy in `scratch`.
const float* Gathered(const float* x, int64_t count, int64_t stride, float* scratch) {
  if (stride == 1) return x;
  for (int64_t i = 0; i < count; ++i) scratch[i] = x[i * stride];
  return scratch;
}

}  // namespace

GroupScale EncodeGroup(const float* x, int64_t count, int64_t stride, uint8_t* upper,
                       uint8_t* lower) {
  float scratch[kChunk];
  float least = x[0] == x[0] ? x[0] : 0.0f, most = least;  // NaN cannot widen the range
  for (int64_t i = 0; i < count; i += kChunk) {
    const int64_t values = std::min(kChunk, count - i);
    Widen(Gathered(x + i * stride, values, stride, scratch), values, &least, &most);
  }
  GroupScale group;
  group.zero = F16FromFloatSaturated(least + 0.0f);        // no negative zero
  const float range = most > least ? most - least : 0.0f;  // not NaN for two infinities
  group.scale = F16FromFloatSaturated(range / static_cast<float>(kUpperLevels));
  for (int64_t i = 0; i < count; i += kChunk) {
    const int64_t values = std::min(kChunk, count - i);
    EncodeChunk(group, Gathered(x + i * stride, values, stride, scratch), values, upper + i,
                lower + i);
  }
  return group;
}

void EncodeRows(ConstRows x, int group, uint8_t* upper, uint8_t* lower, GroupScale* scales) {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t i = 0; i < x.columns; i += group) {
      *scales++ = EncodeGroup(x.Row(row) + i, group, 1, upper, lower);
      upper += group;
      lower += group;
    }
  }
}

int WeightGroup(int64_t inputs, int wanted) {
  for (const int group : {128, 64, 32}) {
    if (group <= wanted && inputs % group == 0) return group;
  }
  return 0;
}

}  // namespace quantspec
