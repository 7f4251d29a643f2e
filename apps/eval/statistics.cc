#include "eval/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>

#include "bench/scores.h"
#include "eval/split_mix.h"

namespace quantspec::eval {
namespace {

// Tokens whose distance is more than this share of the mean time of a token are of two rounds.
constexpr double kPause = 0.2;

}  // namespace

double GeometricMean(std::span<const double> values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

double Mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::optional<Interval> BootstrapInterval(std::span<const double> values, Average average,
                                          uint64_t seed) {
  if (values.size() < 2) return std::nullopt;
  std::vector<double> averages, sample(values.size());
  for (uint64_t s = 0; s < kResamples; ++s) {
    for (uint64_t i = 0; i < values.size(); ++i) {
      sample[i] = values[SplitMix(seed + (s << 32) + i) % values.size()];
    }
    averages.push_back(average == Average::kGeometric ? GeometricMean(sample) : Mean(sample));
  }
  std::sort(averages.begin(), averages.end());
  return Interval{Quantile(averages, 0.025), Quantile(averages, 0.975)};
}

std::vector<double> ConditionalAcceptance(std::span<const int64_t> reached,
                                          std::span<const int64_t> accepted) {
  std::vector<double> shares;
  for (size_t i = 0; i < reached.size() && i < accepted.size() && reached[i] > 0; ++i) {
    shares.push_back(static_cast<double>(accepted[i]) / static_cast<double>(reached[i]));
  }
  return shares;
}

double TokensPerRound(int64_t generated, int64_t rounds) {
  return rounds > 0 ? static_cast<double>(generated - 1) / static_cast<double>(rounds) : 0;
}

double RepeatedFourGrams(std::span<const Token> tokens) {
  if (tokens.size() < 4) return 0;
  std::set<std::array<Token, 4>> seen;
  size_t repeated = 0;
  for (size_t i = 0; i + 4 <= tokens.size(); ++i) {
    repeated +=
        seen.insert({tokens[i], tokens[i + 1], tokens[i + 2], tokens[i + 3]}).second ? 0 : 1;
  }
  return static_cast<double>(repeated) / static_cast<double>(tokens.size() - 3);
}

double SpeedAfterFirstRound(std::span<const double> moments, size_t limit) {
  size_t count = std::min(moments.size(), limit);
  if (count < 3) return 0;
  const double pause_s =
      kPause * (moments[count - 1] - moments[0]) / static_cast<double>(count - 1);
  const auto ends_round = [&](size_t i) {
    return i + 1 == moments.size() || moments[i + 1] - moments[i] > pause_s;
  };
  while (count > 0 && !ends_round(count - 1)) --count;
  for (size_t i = 1; i + 1 < count; ++i) {
    if (!ends_round(i)) continue;
    return static_cast<double>(count - 1 - i) / (moments[count - 1] - moments[i]);
  }
  return 0;
}

}  // namespace quantspec::eval
