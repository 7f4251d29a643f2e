#include "eval/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>

namespace quantspec::eval {
namespace {

// One output of SplitMix64 [steele2014] at state `x`.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Linear interpolation between the order statistics around `share` of sorted values.
double Percentile(std::span<const double> sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = at - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

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

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Interval BootstrapInterval(std::span<const double> values, Average average, uint64_t seed) {
  if (values.empty()) return {};
  if (values.size() == 1) return {values[0], values[0]};
  std::vector<double> averages, sample(values.size());
  for (uint64_t s = 0; s < kResamples; ++s) {
    for (uint64_t i = 0; i < values.size(); ++i) {
      sample[i] = values[Mix(seed + (s << 32) + i) % values.size()];
    }
    averages.push_back(average == Average::kGeometric ? GeometricMean(sample) : Mean(sample));
  }
  std::sort(averages.begin(), averages.end());
  return {Percentile(averages, 0.025), Percentile(averages, 0.975)};
}

std::vector<double> ConditionalAcceptance(std::span<const int64_t> drafted,
                                          std::span<const int64_t> accepted) {
  std::vector<double> shares;
  for (size_t i = 0; i < drafted.size() && i < accepted.size() && drafted[i] > 0; ++i) {
    // A round near the end may draft fewer tokens: it did not reach the later positions.
    const int64_t reached = i == 0 ? drafted[0] : std::min(accepted[i - 1], drafted[i]);
    if (reached <= 0) break;
    shares.push_back(static_cast<double>(accepted[i]) / static_cast<double>(reached));
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
  const size_t count = std::min(moments.size(), limit);
  if (count < 3) return 0;
  const double mean_s = (moments[count - 1] - moments[0]) / static_cast<double>(count - 1);
  for (size_t i = 1; i + 1 < count; ++i) {
    if (moments[i + 1] - moments[i] <= mean_s / 5) continue;
    return static_cast<double>(count - 1 - i) / (moments[count - 1] - moments[i]);
  }
  return 0;
}

}  // namespace quantspec::eval
