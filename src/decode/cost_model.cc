#include "decode/cost_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace quantspec {
namespace {

constexpr double kClip = 1.25;            // samples count as at most this times the estimate
constexpr double kForget = 0.1;           // weight of a new time
constexpr int kLastingChange = 3;         // clipped samples in a row that mean a new level
constexpr double kRowPrior = 0.08;        // cost of a further row over that of a plain step
constexpr double kMostRow = 0.25;         // the same at most, for a first sample
constexpr double kLineWeight = 3.0;       // samples that the common line counts for
constexpr double kSlopeWeight = 2.0;      // and its prior slope, in samples times squared rows
constexpr int kTrusted = 20;              // samples are counted up to this
constexpr double kAcceptancePrior = 0.8;  // weight kPriorTrials
constexpr double kPriorTrials = 3.0;
constexpr double kChainTrials = 12.0;    // weight of a_(i-1) in a_i
constexpr double kDecay = 0.995;         // of acceptance counts per speculative round
constexpr double kSurpriseDecay = 0.93;  // of the evidence that acceptance has changed
constexpr double kSurprise = 3.0;        // standard errors that prove it
constexpr double kKeep = 0.1;            // of the counts when it has
constexpr int kSettled = 8;              // samples from which an estimate is trusted
constexpr int kResumedSamples = 4;       // that an estimate counts for after a break
constexpr int kLevelRounds = 2;          // after a break, that show how all times have changed,
constexpr double kLevelChange = 1.15;    // by more than this factor
constexpr double kResumedTrials = 40.0;  // of a position that outlive a break

// The median, or the least where most samples were stalls.
double Typical(std::array<double, 3> x) {
  std::sort(x.begin(), x.end());
  return x[1] < 2.0 * x[0] ? x[1] : x[0];
}

}  // namespace

double TimeEstimate::Add(double sample, int64_t round) {
  last_round_ = round;
  if (!(sample >= 0)) return 1.0;
  if (count_ < 3) {
    first_[static_cast<size_t>(count_++)] = sample;
    value_ =
        count_ == 3 ? Typical(first_) : *std::min_element(first_.begin(), first_.begin() + count_);
    return 1.0;
  }
  const double clipped = std::clamp(sample, value_ / kClip, value_ * kClip);
  if (clipped == sample) {
    clipped_ = 0;
  } else if (sample > clipped) {
    clipped_ = std::max(clipped_, 0) + 1;
  } else {
    clipped_ = std::min(clipped_, 0) - 1;
  }
  const bool lasting = std::abs(clipped_) >= kLastingChange;
  const double weight = lasting ? 0.5 : std::max(kForget, 1.0 / (count_ + 1));
  const double before = value_;
  value_ += weight * (clipped - value_);
  ++count_;
  return count_ > kSettled && before > 0 ? value_ / before : 1.0;
}

void TimeEstimate::Scale(double factor) {
  value_ *= factor;
  for (double& sample : first_) sample *= factor;
}

void TimeEstimate::Doubt(int64_t rounds) {
  count_ = std::min(count_, kResumedSamples);
  clipped_ = 0;
  last_round_ -= rounds;
}

double TimeEstimate::Optimism(int64_t round) const {
  const double samples = count_ <= 2          ? 0.10
                         : count_ <= 4        ? 0.06
                         : count_ <= kSettled ? 0.03
                                              : 0.015;
  const double age = static_cast<double>(round - last_round_);
  return std::max(0.6, 1.0 - samples - 0.05 * std::log2(1.0 + age / 32.0));
}

void CostModel::Observe(std::span<const double> draft_steps_s, int rows, double verify_s,
                        int64_t round) {
  const int drafted = rows - 1;
  FollowLevel(draft_steps_s, rows, verify_s);
  // A first sample far beyond what machines do is taken for a stall, until a second one repeats it.
  const double plain = verify_[0].value();
  const bool bounded = verify_[0].known();
  for (const double step : draft_steps_s) {
    draft_.Add(bounded && !draft_.known() ? std::min(step, 1.5 * plain) : step, round);
  }
  TimeEstimate& verify = verify_[static_cast<size_t>(drafted)];
  const double most = plain * (1.0 + kMostRow * drafted);
  const double factor =
      verify.Add(bounded && !verify.known() ? std::min(verify_s, most) : verify_s, round);
  if (drafted == 0) ++plain_samples_;
  tried_ = std::max(tried_, drafted);
  // What was not measured in this round drifts along: a longer context and a busier machine slow
  // all passes down alike.
  for (TimeEstimate& other : verify_) {
    if (&other != &verify) other.Scale(factor);
  }
  if (drafted == 0) draft_.Scale(factor);
  Fit();
}

void CostModel::Resume(double draft_over_target, int64_t age) {
  draft_.Scale(draft_over_target / draft_over_target_);
  draft_over_target_ = draft_over_target;
  draft_.Doubt(age);
  for (TimeEstimate& verify : verify_) verify.Doubt(age);
  unleveled_ = kLevelRounds;
}

// The least of a round's times over what was expected of them: a stall hits one of them only. Where
// there was but one, the next round puts it right.
void CostModel::FollowLevel(std::span<const double> draft_steps_s, int rows, double verify_s) {
  if (unleveled_ == 0 || !verify_[0].known()) return;
  const bool is_first = unleveled_-- == kLevelRounds;
  double level = verify_s / Verify(rows);
  for (const double step : draft_steps_s) {
    if (draft_.known()) level = std::min(level, step / Draft());
  }
  const bool is_lower = level > 0 && level * kLevelChange < 1.0;
  const bool is_higher = level > kLevelChange && std::isfinite(level);
  if (!is_lower && !(is_higher && is_first)) return;
  Scale(level);
}

void CostModel::Scale(double factor) {
  draft_.Scale(factor);
  for (TimeEstimate& verify : verify_) verify.Scale(factor);
  for (double& cost : table_) cost *= factor;
}

void CostModel::Fit() {
  constexpr int kRows = kMaxGamma + 1;
  // Least squares for base + slope * (rows - 1), weighted by samples; the slope has a prior.
  double w = 0, x = 0, y = 0, xx = 0, xy = 0;
  std::array<double, kRows> value{};
  double least = std::numeric_limits<double>::infinity();
  for (int i = kRows - 1; i >= 0; --i) {
    const TimeEstimate& own = verify_[static_cast<size_t>(i)];
    if (!own.known()) continue;
    // More rows never take less time, so a young estimate above that of more rows is a stall.
    least = own.count() > kSettled ? own.value() : std::min(least, own.value());
    value[static_cast<size_t>(i)] = least;
    const double weight = std::min(own.count(), kTrusted);
    w += weight;
    x += weight * i;
    y += weight * least;
    xx += weight * i * i;
    xy += weight * i * least;
  }
  const double plain = verify_[0].known() ? value[0] : y / w;
  const double slope = std::max(
      0.0, (xy - x * y / w + kSlopeWeight * kRowPrior * plain) / (xx - x * x / w + kSlopeWeight));
  const double base = (y - slope * x) / w;

  int below = -1;
  for (int i = 0; i < kRows; ++i) {
    const TimeEstimate& own = verify_[static_cast<size_t>(i)];
    if (!own.known()) continue;
    const double samples = std::min(own.count(), kTrusted);
    const double here =
        (samples * value[static_cast<size_t>(i)] + kLineWeight * (base + slope * i)) /
        (samples + kLineWeight);
    const double start = below < 0 ? here : table_[static_cast<size_t>(below)];
    for (int j = below + 1; j <= i; ++j) {
      table_[static_cast<size_t>(j)] = start + (here - start) * (j - below) / (i - below);
    }
    below = i;
  }
  for (int j = below + 1; j < kRows; ++j) {
    table_[static_cast<size_t>(j)] = table_[static_cast<size_t>(below)] + slope * (j - below);
  }
}

double CostModel::OptimisticRound(int gamma, int64_t round) const {
  const TimeEstimate& verify = verify_[static_cast<size_t>(gamma)];
  const double verify_optimism =
      verify.known() ? verify.Optimism(round) : (gamma <= tried_ ? 0.95 : 0.9);
  const double draft_optimism = draft_.known() ? draft_.Optimism(round) : 0.85;
  return gamma * Draft() * draft_optimism + Verify(gamma + 1) * verify_optimism;
}

void AcceptanceModel::Observe(int drafted, int accepted, int64_t round) {
  if (drafted == 0) return;
  last_round_ = round;
  for (size_t i = 0; i < trials_.size(); ++i) {
    trials_[i] *= kDecay;
    hits_[i] *= kDecay;
  }
  surprise_ *= kSurpriseDecay;
  variance_ *= kSurpriseDecay * kSurpriseDecay;
  double expected = kAcceptancePrior;
  for (int i = 0; i < std::min(drafted, accepted + 1); ++i) {
    expected = Conditional(i, expected);
    surprise_ += (i < accepted ? 1.0 : 0.0) - expected;
    variance_ += expected * (1.0 - expected) + 0.01;
    trials_[static_cast<size_t>(i)] += 1.0;
    if (i < accepted) hits_[static_cast<size_t>(i)] += 1.0;
  }
  if (surprise_ * surprise_ > kSurprise * kSurprise * variance_) {
    for (size_t i = 0; i < trials_.size(); ++i) {
      trials_[i] *= kKeep;
      hits_[i] *= kKeep;
    }
    surprise_ = variance_ = 0;
  }
}

void AcceptanceModel::Resume() {
  for (size_t i = 0; i < trials_.size(); ++i) {
    const double kept = std::min(1.0, kResumedTrials / std::max(trials_[i], 1.0));
    trials_[i] *= kept;
    hits_[i] *= kept;
  }
}

double AcceptanceModel::Conditional(int position, double before) const {
  const size_t i = static_cast<size_t>(position);
  const double weight = position == 0 ? kPriorTrials : kChainTrials;
  return (hits_[i] + weight * before) / (trials_[i] + weight);
}

AcceptanceModel::Tokens AcceptanceModel::Expected(double raise) const {
  Tokens tokens{};
  double conditional = kAcceptancePrior;
  double all = 1.0;
  tokens[0] = 1.0;
  for (int i = 0; i < kMaxGamma; ++i) {
    conditional = Conditional(i, conditional);
    all *= std::min(conditional + raise, std::max(0.98, conditional));
    tokens[static_cast<size_t>(i) + 1] = tokens[static_cast<size_t>(i)] + all;
  }
  return tokens;
}

AcceptanceModel::Tokens AcceptanceModel::Optimistic(int64_t round) const {
  const double a = Conditional(0, kAcceptancePrior);
  const double fresh = std::pow(0.98, static_cast<double>(round - last_round_));
  return Expected(std::sqrt((a * (1.0 - a) + 0.01) / (1.0 + trials_[0] * fresh)));
}

}  // namespace quantspec
