// What rounds cost and how many tokens they bring, learned while decoding. Pure arithmetic over the
// times and counts it is given; allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "quantspec/types.h"

namespace quantspec {

// Running estimate of a time: the median of the first three samples, then a mean that forgets,
// with samples clipped so that a rare stall moves it little. A lasting change is followed fast.
class TimeEstimate {
 public:
  // Returns the factor by which the estimate moved (1 while it is young).
  double Add(double sample, int64_t round);
  void Scale(double factor);
  // Something may have changed unseen since `rounds` rounds: new samples count more, and the
  // estimate is as old.
  void Doubt(int64_t rounds);

  bool known() const { return count_ > 0; }
  int count() const { return count_; }
  double value() const { return value_; }
  // How far below the estimate the truth may well be (at most 1): less the more samples there are
  // and the younger they are.
  double Optimism(int64_t round) const;

 private:
  double value_ = 0;
  int count_ = 0;
  int clipped_ = 0;  // samples in a row beyond the clip, negative below it
  int64_t last_round_ = 0;
  std::array<double, 3> first_{};
};

// Times of a draft step and of a verify pass by its rows (gamma + 1).
class CostModel {
 public:
  // `draft_over_target`: expected time of a draft step over that of a plain step.
  explicit CostModel(double draft_over_target = 0.5) : draft_over_target_(draft_over_target) {
    table_.fill(1.0);
  }

  // `rows`: of the verify pass, 1 + the tokens drafted; more than there were draft steps if they
  // came without.
  void Observe(std::span<const double> draft_steps_s, int rows, double verify_s, int64_t round);
  // What is known stays, with doubts. `draft_over_target` is what is expected now: draft steps are
  // scaled by its change. How far all times have changed together, by a longer context or a busier
  // machine, the next two rounds show.
  void Resume(double draft_over_target, int64_t age);

  bool draft_known() const { return draft_.known(); }
  int plain_samples() const { return plain_samples_; }
  double Draft() const { return draft_.known() ? draft_.value() : draft_over_target_ * Verify(1); }
  // Measurements are drawn towards a straight line through all of them, the more the fewer they
  // are; row counts without any lie on straight lines between and beyond their neighbours.
  double Verify(int rows) const { return table_[static_cast<size_t>(rows - 1)]; }
  // Expected seconds of a round.
  double Round(int gamma) const { return gamma * Draft() + Verify(gamma + 1); }
  // Seconds that a round might take if all doubts resolve in its favour.
  double OptimisticRound(int gamma, int64_t round) const;
  // The largest gamma tried so far.
  int tried() const { return tried_; }

 private:
  void FollowLevel(std::span<const double> draft_steps_s, int rows, double verify_s);
  void Scale(double factor);
  void Fit();

  double draft_over_target_;
  int unleveled_ = 0;  // rounds still to come that show how far all times have changed
  int tried_ = 0;
  int plain_samples_ = 0;
  TimeEstimate draft_;
  std::array<TimeEstimate, kMaxGamma + 1> verify_;  // [rows - 1]
  std::array<double, kMaxGamma + 1> table_{};       // what Verify answers
};

// Probability that the draft token at a position is accepted if all before it were.
class AcceptanceModel {
 public:
  void Observe(int drafted, int accepted, int64_t round);
  // Another text follows: what is known stays and counts less.
  void Resume();
  // Expected tokens of a round: 1 + a_1 + a_1 a_2 + ... for gamma 0 to kMaxGamma.
  using Tokens = std::array<double, kMaxGamma + 1>;
  Tokens Expected() const { return Expected(0.0); }
  // The same with every a_i one standard error higher; doubts grow with the age of the data.
  Tokens Optimistic(int64_t round) const;

 private:
  Tokens Expected(double raise) const;
  double Conditional(int position, double before) const;

  std::array<double, kMaxGamma> trials_{};
  std::array<double, kMaxGamma> hits_{};
  double surprise_ = 0;  // accepted beyond what was expected, lately
  double variance_ = 0;  // of surprise_ if nothing has changed
  int64_t last_round_ = 0;
};

}  // namespace quantspec
