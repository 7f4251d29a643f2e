// How far a fast kernel may be from the reference, derived from what it rounds; and the comparison
// that applies it. Every bound is used through Matches, which tolerance_test.cc shows can fail.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace quantspec::testing {

// Bounds on single elements and on their root mean square.
struct Tolerance {
  double max = 0.0;
  double rms = 0.0;
};

// Unit roundoff of float.
inline constexpr double kRoundoff = 0x1p-24;

// Sums of n float products in any order: n roundings that mostly cancel, sqrt(n) * roundoff of the
// sum of magnitudes, times 4 for the largest of many [higham2019].
inline Tolerance DotTolerance(double n, double magnitudes) {
  const double sigma = kRoundoff * std::sqrt(n + 8.0) * magnitudes;
  return {4.0 * sigma, sigma};
}

// A vector rounded to integers of at most `levels` times a common scale, against n codes of normal
// data: each rounding error is uniform in half a step (deviation 1 / sqrt(12)), and meets a centred
// code, which deviates by 16 / 6 upper steps of size `code_step` (a group spans 6 deviations or
// so). Six sigma for the largest.
inline Tolerance CodeDotTolerance(double n, double largest, double levels, double code_step) {
  const double sigma = largest / levels / std::sqrt(12.0) * (16.0 / 6.0) * code_step * std::sqrt(n);
  return {6.0 * sigma, 1.5 * sigma};
}

// Sums of n products of which both factors were rounded to 8 significant bits (bf16): relative
// errors of up to 2^-9 each, which mostly cancel. Six sigma for the largest.
inline Tolerance HalfDotTolerance(double n, double product) {
  const double sigma = 0x1p-9 * std::sqrt(2.0 * n) * product;
  return {6.0 * sigma, sigma};
}

inline Tolerance operator+(Tolerance a, Tolerance b) { return {a.max + b.max, a.rms + b.rms}; }
inline Tolerance operator*(double factor, Tolerance t) { return {factor * t.max, factor * t.rms}; }

// What attention makes of independent errors in the scores of `tokens` tokens whose scores are
// normal with a deviation of about 1: the output is a mean of values of deviation 1 under weights w
// that change by (score error) * w, and the root of the sum of w^2 is about 2 / sqrt(tokens).
inline Tolerance SoftmaxTolerance(Tolerance scores, double tokens) {
  const double factor = std::min(1.0, 3.0 / std::sqrt(tokens));
  return factor * scores + Tolerance{64 * kRoundoff, 16 * kRoundoff};
}

struct Difference {
  double max = 0.0;
  double rms = 0.0;
  std::size_t worst = 0;  // index of the largest
};

// Infinite if any element is not finite.
inline Difference Compare(std::span<const float> actual, std::span<const float> expected) {
  Difference difference;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    double error = std::abs(double{actual[i]} - double{expected[i]});
    if (!std::isfinite(error)) error = INFINITY;
    if (error > difference.max) {
      difference.max = error;
      difference.worst = i;
    }
    difference.rms += error * error;
  }
  if (!actual.empty()) difference.rms = std::sqrt(difference.rms / double(actual.size()));
  return difference;
}

inline bool Matches(std::span<const float> actual, std::span<const float> expected,
                    Tolerance tolerance) {
  if (actual.size() != expected.size()) return false;
  const Difference difference = Compare(actual, expected);
  return difference.max <= tolerance.max && difference.rms <= tolerance.rms;
}

}  // namespace quantspec::testing
