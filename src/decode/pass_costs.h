// What forward passes over several sequences cost, by reader and rows, and how many tokens each of
// the sequences should draft in the next round. Pure arithmetic over the times it is given;
// allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "decode/cost_model.h"
#include "quantspec/types.h"

namespace quantspec {

// Seconds of a pass as a straight line over its rows, through measurements that age.
class PassLine {
 public:
  static constexpr int kMostRows = 128;  // more count as so many

  void Observe(int rows, double seconds, int64_t round);
  bool known() const { return samples_ > 0; }
  // Expected seconds; 0 while nothing is known. Measured numbers of rows count more than the line.
  double Seconds(int rows) const;
  // Two numbers of rows were measured, so that the slope is more than a guess.
  bool has_slope() const { return has_slope_; }
  // Seconds that one row more costs.
  double Slope() const { return slope_; }

 private:
  void Fit();

  std::array<TimeEstimate, kMostRows> measured_{};  // [rows - 1]
  int samples_ = 0;
  bool has_slope_ = false;
  double base_ = 0, slope_ = 0;
};

// A sequence of a round.
struct RoundMember {
  // Expected tokens of a round of its own, by the tokens drafted: 1, 1 + a_1, 1 + a_1 + a_1 a_2,
  // ...
  AcceptanceModel::Tokens tokens{};
  int most = 0;   // drafts that its round has room for
  int gamma = 0;  // out
};

// Draft tokens are shared out so that all sequences together get the most tokens a second, and each
// at least half of what it would get if nobody drafted: one more row costs the others time, too.
// With a single sequence the GammaController knows better.
class PassCosts {
 public:
  // `draft_over_target`: expected time of a draft's pass over the target's, before any was seen.
  explicit PassCosts(double draft_over_target = 0.6) : draft_over_target_(draft_over_target) {}

  void set_prior(double draft_over_target) { draft_over_target_ = draft_over_target; }
  void Observe(Reader reader, int rows, double seconds);
  // Sets every member's gamma; 0 for all until a target's pass was seen. Now and then it tries a
  // draft that is not known to lose, which costs little of all time.
  void Plan(std::span<RoundMember> members);
  // Tokens of all members a second that the last Plan expects, and what it expects one more row of
  // the verify pass to cost in tokens of the others.
  double rate() const { return rate_; }
  double row_price() const { return row_price_; }
  // Tokens that each may verify which cost no draft step: if all of them do, a round takes twice as
  // long at most.
  int most_lookup() const { return most_lookup_; }

 private:
  double Target(int rows) const { return target_.Seconds(rows); }
  double Draft(int rows) const;
  double DraftSlope() const {
    return draft_.known() ? draft_.Slope() : draft_over_target_ * target_.Slope();
  }
  // The rate with at most `depth` drafts each, 0 where somebody would lose more than half; `gammas`
  // [members] are written.
  double RateAt(int depth, std::span<const RoundMember> members, std::span<int> gammas) const;
  void Probe(std::span<RoundMember> members, double plain);

  double draft_over_target_;
  PassLine target_, draft_;
  int64_t round_ = 0;
  static constexpr int64_t kProbeGap = 32;
  int64_t last_probe_ = 0;
  int64_t probe_gap_ = kProbeGap;  // rounds to the next one
  bool drafted_last_ = false;      // in the last plan, probes aside
  double rate_ = 0, row_price_ = 0;
  int most_lookup_ = 0;
};

}  // namespace quantspec
