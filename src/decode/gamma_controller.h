// Chooses gamma while decoding: the one with the highest expected tokens/s, 0 included.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decode/cost_model.h"
#include "quantspec/types.h"

namespace quantspec {

// What the caller knows about costs before anything was measured.
struct CostPrior {
  // Bytes that a draft step reads over those that a plain step reads; 0 = unknown.
  double draft_over_target = 0;
};

// Deterministic given the times it is told. It begins with plain steps, tries speculation where
// that may pay, and from then on follows its measurements, from one answer of a session to the
// next. Trying something that is not expected to be best (a probe) draws on a budget of lost time:
// about one plain step and 0.4 % of the time spent, so that `auto` stays beside plain decoding
// where speculation loses.
class GammaController {
 public:
  GammaController();

  // Begins an answer. What was learned in earlier ones stays; it counts less with every answer, so
  // that another text, a longer context or a busier machine is followed.
  void Start(const CostPrior& prior);
  // Forgets all that was learned: the next Start is as the first one.
  void Forget();
  // Gamma for the next round. The round may use less of it.
  int Next();
  // How many of `most` tokens that are proposed without a draft step to verify in the place of
  // drafts; 0: a round with drafts is expected to be faster.
  int NextLookup(int most);
  // The round that followed NextLookup.
  void ObserveLookup(int drafted, double verify_s, int accepted);
  // The round that followed: the time of each draft step, of the verify pass, and the draft tokens
  // accepted.
  void Observe(std::span<const double> draft_steps_s, double verify_s, int accepted);

  // ---- rounds of several sequences, whose costs are not this one's: somebody else chooses gamma
  // Expected tokens of a round, by gamma.
  const AcceptanceModel::Tokens& tokens() const { return tokens_; }
  // What other sequences have shown, for one that has shown nothing yet.
  void Assume(const AcceptanceModel& acceptance);
  // How many of `most` tokens that cost no draft step to verify, if each row costs `row_price`
  // tokens and the choice instead are `gamma` drafts.
  int SharedLookup(int most, double row_price, int gamma);
  // Says that the next round has so many drafts.
  void NoteShared(int gamma);
  // The round that followed.
  void ObserveShared(int drafted, int accepted, bool looked_up);

  // The changes since Start (the last few hundred), oldest first, rounds counted from there.
  // Allocates; for after the loop.
  std::vector<GammaChange> Changes() const;

 private:
  enum class Reason {
    kMeasurePlain,
    kKept,
    kProbe,
    kEndOfProbe,
    kFaster,
    kLookup,
    kEndOfLookup,
    kShared,
  };
  struct Change {
    int64_t round;
    int gamma;
    Reason reason;
    double gain;  // expected tokens/s over those of the gamma before
  };

  double Rate(int gamma) const;  // expected tokens/s
  double Budget() const;         // seconds that a probe may lose
  int Best() const;
  int Probe() const;  // gamma worth trying in the next round, or -1
  void Record(int gamma, Reason reason, double gain);

  bool has_begun_ = false;
  double prior_ratio_ = 0.5;
  CostModel costs_;
  AcceptanceModel acceptance_;
  AcceptanceModel::Tokens tokens_{};  // expected, per gamma
  AcceptanceModel lookup_;            // of tokens proposed without draft steps
  bool used_lookup_ = false;          // in the last round
  int64_t round_ = 0;
  int64_t start_ = 0;  // round_ at Start
  int64_t last_probe_ = 0;
  int probe_gap_ = 0;  // rounds from one probe to the next
  int current_ = 0;    // the gamma believed best
  int used_ = -1;      // the gamma of the last round
  bool probing_ = false;
  double elapsed_s_ = 0;         // without stalls
  double lost_s_ = 0;            // to probes
  std::vector<Change> changes_;  // a ring once full
  size_t next_change_ = 0;
};

}  // namespace quantspec
