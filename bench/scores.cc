#include "bench/scores.h"

#include <algorithm>
#include <cmath>

namespace quantspec {

Distribution::Distribution(std::span<const float> logits) : logits_(logits) {
  const auto top = std::max_element(logits.begin(), logits.end());
  likeliest_ = static_cast<size_t>(top - logits.begin());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - *top));
  log_sum_ = static_cast<double>(*top) + std::log(sum);
}

double Quantile(std::span<const double> sorted, double share) {
  if (sorted.empty()) return 0;
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return Quantile(values, 0.5);
}

void MeanSum::Add(double value) {
  ++count_;
  const double step = value - mean_;  // [welford1962]
  mean_ += step / static_cast<double>(count_);
  squares_ += step * (value - mean_);
}

MeanError MeanSum::mean_error() const {
  const double count = static_cast<double>(count_);
  if (count_ < 2) return {mean_, 0};
  return {mean_, std::sqrt(squares_ / count / (count - 1))};
}

void ScoreSum::AddText(const Distribution& row, Token next) {
  negative_log_likelihood_ -= row.LogProbability(static_cast<size_t>(next));
  ++texts_;
}

void ScoreSum::AddAgainst(const Distribution& base, const Distribution& row) {
  for (size_t token = 0; token < row.vocab(); ++token) {
    const double log_p = base.LogProbability(token);
    const double log_q = row.LogProbability(token);
    const double p = std::exp(log_p);
    if (p > 0) kld_ += p * (log_p - log_q);
    overlap_ += log_q < log_p ? std::exp(log_q) : p;
  }
  top1_ += base.likeliest() == row.likeliest() ? 1 : 0;
  ++against_;
}

double ScoreSum::perplexity() const { return std::exp(negative_log_likelihood_ / texts_); }

}  // namespace quantspec
