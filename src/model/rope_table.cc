// Sources: [su2021] RoPE, [peng2023] YaRN, [llama3] frequency bands, [ding2024] longrope.
#include "model/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace quantspec {
namespace {

// Share of interpolation of each pair, 1 = wholly interpolated, by YaRN's ramp between the pairs
// that turn beta_fast and beta_slow times within the original context.
double YarnShare(const RopeConfig& rope, int pair) {
  const auto pair_with_turns = [&](double turns) {
    return rope.rotated * std::log(rope.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.base));
  };
  const double low = std::max(0.0, std::floor(pair_with_turns(rope.beta_fast)));
  const double high = std::min(rope.rotated - 1.0, std::ceil(pair_with_turns(rope.beta_slow)));
  return std::clamp((pair - low) / std::max(0.001, high - low), 0.0, 1.0);
}

double Llama3Frequency(const RopeConfig& rope, double frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double turns = rope.original_context / wavelength;
  if (turns > rope.high_frequency) return frequency;
  if (turns < rope.low_frequency) return frequency / rope.factor;
  const double smooth = (turns - rope.low_frequency) / (rope.high_frequency - rope.low_frequency);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

double Frequency(const RopeConfig& rope, const std::vector<float>& divisors, int pair) {
  double frequency = std::pow(rope.base, -2.0 * pair / rope.rotated);
  if (!divisors.empty()) frequency /= divisors[static_cast<size_t>(pair)];
  switch (rope.scaling) {
    case RopeScaling::kNone:
    case RopeScaling::kLongRope:
      return frequency;
    case RopeScaling::kLinear:
      return frequency / rope.factor;
    case RopeScaling::kLlama3:
      return Llama3Frequency(rope, frequency);
    case RopeScaling::kYarn: {
      const double share = YarnShare(rope, pair);
      return share * frequency / rope.factor + (1 - share) * frequency;
    }
  }
  return frequency;
}

// Of cosine and sine.
double Magnitude(const RopeConfig& rope) {
  if (rope.scaling == RopeScaling::kLongRope) return rope.attention_factor;
  if (rope.scaling != RopeScaling::kYarn) return 1.0;
  return rope.attention_factor * (1.0 + 0.1 * std::log(std::max(1.0, rope.factor)));
}

}  // namespace

void FillRopeTable(const RopeConfig& rope, int context, int64_t positions, float* table) {
  const std::vector<float>& divisors = rope.ReadsLong(context) ? rope.long_divisors : rope.divisors;
  const int pairs = rope.rotated / 2;
  std::vector<double> frequencies(static_cast<size_t>(pairs));
  for (int pair = 0; pair < pairs; ++pair) {
    frequencies[static_cast<size_t>(pair)] = Frequency(rope, divisors, pair);
  }
  const double magnitude = Magnitude(rope);
  for (int64_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      *table++ = static_cast<float>(std::cos(angle) * magnitude);
      *table++ = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
}

}  // namespace quantspec
