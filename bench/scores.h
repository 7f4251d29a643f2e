// Scores of next-token distributions: against the text, and against each other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quantspec/types.h"

namespace quantspec {

// log-probabilities of one row of logits, in double.
class Distribution {
 public:
  explicit Distribution(std::span<const float> logits);
  double LogProbability(size_t token) const {
    return static_cast<double>(logits_[token]) - log_sum_;
  }
  size_t vocab() const { return logits_.size(); }
  size_t likeliest() const { return likeliest_; }

 private:
  std::span<const float> logits_;
  double log_sum_ = 0;  // of exp(logit) over all tokens
  size_t likeliest_ = 0;
};

// Linear interpolation between the order statistics around `share` (0 to 1) of `sorted` values; 0
// for none.
double Quantile(std::span<const double> sorted, double share);
// The middle value, of an even count the mean of the middle two; 0 for none.
double Median(std::vector<double> values);

struct MeanError {
  double mean = 0;
  double error = 0;  // standard error of the mean; 0 for fewer than two values
};

// Mean and spread of independent values.
class MeanSum {
 public:
  void Add(double value);
  int64_t count() const { return count_; }
  MeanError mean_error() const;

 private:
  double mean_ = 0, squares_ = 0;  // squares of the distances from the mean
  int64_t count_ = 0;
};

// Means over rows.
class ScoreSum {
 public:
  // Scores `row` against the token that follows in the text, ...
  void AddText(const Distribution& row, Token next);
  // ... and against `base`, the distribution it should have.
  void AddAgainst(const Distribution& base, const Distribution& row);

  double perplexity() const;                              // exp of the mean negative log-likelihood
  double kld() const { return kld_ / against_; }          // mean KL(base || row), nats
  double top1() const { return top1_ / against_; }        // share with the same likeliest token
  double overlap() const { return overlap_ / against_; }  // mean of sum min(p, q)

 private:
  double negative_log_likelihood_ = 0;
  double kld_ = 0, top1_ = 0, overlap_ = 0;
  double texts_ = 0, against_ = 0;  // rows
};

}  // namespace quantspec
