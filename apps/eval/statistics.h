// The statistics of the comparisons: ratios, their spread over examples, acceptance by position.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quantspec/types.h"

namespace quantspec::eval {

// exp of the mean logarithm; 0 for no values. Every value must be above 0.
double GeometricMean(std::span<const double> values);
// 0 for no values.
double Mean(std::span<const double> values);

struct Interval {
  double low = 0;
  double high = 0;
};

enum class Average { kMean, kGeometric };
inline constexpr int kResamples = 2000;

// Percentile bootstrap [efron1979]: the 2.5 and 97.5 percentiles of the averages of kResamples
// samples of as many values, drawn with replacement. Draw i of sample s takes value
// SplitMix64(seed + 2^32 s + i) mod n, so that equal input gives equal output everywhere. Fewer
// than two values say nothing of their spread: no interval.
std::optional<Interval> BootstrapInterval(std::span<const double> values, Average average,
                                          uint64_t seed);

// The share of drafted tokens at each position of a round that were accepted, among the rounds in
// which every earlier one was and this one was drafted, too: accepted[i] over reached[i]. Positions
// from the first one that no round reached are left out.
std::vector<double> ConditionalAcceptance(std::span<const int64_t> reached,
                                          std::span<const int64_t> accepted);

// Tokens that one verification yields, the target's own included: the first generated token comes
// from the prompt. 0 without rounds.
double TokensPerRound(int64_t generated, int64_t rounds);

// The share of the runs of four tokens that occurred earlier in `tokens`; 0 for fewer than four.
double RepeatedFourGrams(std::span<const Token> tokens);

// Tokens a second after the first round, up to the last round that ends within the first `limit`
// tokens, from the moments in seconds at which tokens arrived. Tokens of one round arrive together:
// a round ends before a pause longer than a fifth of the mean time of a token. 0 where nothing is
// left to time.
double SpeedAfterFirstRound(std::span<const double> moments, size_t limit);

}  // namespace quantspec::eval
