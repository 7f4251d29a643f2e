#include "decode/gamma_controller.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace quantspec {
namespace {

constexpr size_t kChanges = 256;
constexpr int kPlainFirst = 2;  // plain steps before anything else
constexpr int64_t kBreak = 24;  // rounds by which a new answer ages what is known, at most
constexpr double kHysteresis = 1.01;
constexpr double kLeavePlain = 1.02;  // hysteresis of leaving plain decoding
constexpr double kDoubtful = 0.85;    // byte ratio above which drafting hardly pays,
constexpr int kDoubtfulWait = 32;     // rounds before the first probe then;
constexpr double kHopeless = 0.96;    // above which even perfect drafts gain 4 % at most,
constexpr int kHopelessWait = 512;    // and rounds before it: the cache has grown by then
constexpr int kProbeGap = 4;          // rounds from one probe to the next at first,
constexpr int kProbeGapMost = 20;     // and after many that changed nothing
constexpr double kNews = 1.03;        // a gain that makes probes frequent again
constexpr double kWorthTrying = 1.005;
constexpr double kFreeLoss = 1.1;     // budget: plain steps,
constexpr double kLossShare = 0.004;  // and share of the time spent

}  // namespace

GammaController::GammaController() {
  changes_.reserve(kChanges);
  Forget();
}

void GammaController::Start(const CostPrior& prior) {
  prior_ratio_ = prior.draft_over_target > 0 ? std::clamp(prior.draft_over_target, 0.1, 1.5) : 0.6;
  if (has_begun_) {
    costs_.Resume(prior_ratio_, std::min(kBreak, round_ - start_));
    acceptance_.Resume();
    lookup_.Resume();
  } else {
    costs_ = CostModel(prior_ratio_);
    has_begun_ = true;
  }
  tokens_ = acceptance_.Expected();
  start_ = round_;
  used_ = -1;
  probing_ = false;
  changes_.clear();
  next_change_ = 0;
}

void GammaController::Forget() {
  has_begun_ = false;
  acceptance_ = lookup_ = {};
  used_lookup_ = false;
  round_ = last_probe_ = 0;
  probe_gap_ = kProbeGap;
  current_ = 0;
  elapsed_s_ = lost_s_ = 0;
  changes_.clear();
  next_change_ = 0;
}

double GammaController::Rate(int gamma) const {
  return tokens_[static_cast<size_t>(gamma)] / std::max(1e-12, costs_.Round(gamma));
}

int GammaController::Best() const {
  // Far beyond what was tried, costs are guesses.
  const int limit = costs_.draft_known() ? std::min(kMaxGamma, 2 * costs_.tried() + 1) : 0;
  int best = 0;
  for (int gamma = 1; gamma <= limit; ++gamma) {
    if (Rate(gamma) > Rate(best)) best = gamma;
  }
  return best;
}

double GammaController::Budget() const {
  return kFreeLoss * costs_.Verify(1) + kLossShare * elapsed_s_ - lost_s_;
}

int GammaController::Probe() const {
  int first = 0;
  int last = std::min(kMaxGamma, std::max(2 * current_, costs_.tried()));
  if (!costs_.draft_known()) {
    const int wait = prior_ratio_ > kHopeless   ? kHopelessWait
                     : prior_ratio_ > kDoubtful ? kDoubtfulWait
                                                : 0;
    if (round_ < wait) return -1;
    // One token: what a rejected draft costs must leave the budget for another probe soon.
    first = last = 1;
  } else if (round_ - last_probe_ < probe_gap_) {
    return -1;
  }
  const AcceptanceModel::Tokens optimistic = acceptance_.Optimistic(round_);
  const double rate = Rate(current_);
  const double budget = Budget();
  int choice = -1;
  double best_gain = kWorthTrying;
  for (int gamma = first; gamma <= last; ++gamma) {
    if (gamma == current_) continue;
    const double hope =
        optimistic[static_cast<size_t>(gamma)] / costs_.OptimisticRound(gamma, round_);
    const double loss = costs_.Round(gamma) - tokens_[static_cast<size_t>(gamma)] / rate;
    // A plain step is what the budget is measured against, so it is always allowed.
    if (hope / rate > best_gain && (gamma == 0 || loss <= budget)) {
      best_gain = hope / rate;
      choice = gamma;
    }
  }
  return choice;
}

int GammaController::Next() {
  probing_ = false;
  if (costs_.plain_samples() < kPlainFirst) {
    Record(0, Reason::kMeasurePlain, 1.0);
    return 0;
  }
  const int best = Best();
  const double gain = Rate(best) / Rate(current_);
  if (gain > (current_ == 0 ? kLeavePlain : kHysteresis)) {
    if (gain > kNews) probe_gap_ = kProbeGap;
    current_ = best;
    Record(current_, Reason::kFaster, gain);
    return current_;
  }
  const int probe = Probe();
  if (probe >= 0) {
    probing_ = true;
    last_probe_ = round_;
    probe_gap_ = std::min(kProbeGapMost, probe_gap_ + (probe_gap_ + 1) / 2);
    Record(probe, Reason::kProbe, Rate(probe) / Rate(current_));
    return probe;
  }
  Record(current_,
         used_ < 0      ? Reason::kKept
         : used_lookup_ ? Reason::kEndOfLookup
                        : Reason::kEndOfProbe,
         1.0);
  return current_;
}

int GammaController::NextLookup(int most) {
  probing_ = false;
  if (costs_.plain_samples() < kPlainFirst) return 0;
  // Costs far beyond what was tried are guesses.
  const int limit = std::min(most, 2 * costs_.tried() + 2);
  const AcceptanceModel::Tokens expected = lookup_.Expected();
  const AcceptanceModel::Tokens optimistic = lookup_.Optimistic(round_);
  const double rate = Rate(current_);
  int best = 0, hope = 0;
  double best_rate = 0, hope_rate = 0;
  for (int gamma = 1; gamma <= limit; ++gamma) {
    const double cost = costs_.Verify(gamma + 1);
    const auto at = static_cast<size_t>(gamma);
    if (expected[at] / cost > best_rate) {
      best_rate = expected[at] / cost;
      best = gamma;
    }
    const bool is_affordable = cost - expected[at] / rate <= Budget();
    if (is_affordable && optimistic[at] / cost > hope_rate) {
      hope_rate = optimistic[at] / cost;
      hope = gamma;
    }
  }
  if (best_rate > kHysteresis * rate) {
    Record(best, Reason::kLookup, best_rate / rate);
    return best;
  }
  if (hope_rate <= kWorthTrying * rate || round_ - last_probe_ < probe_gap_) return 0;
  probing_ = true;
  last_probe_ = round_;
  Record(hope, Reason::kProbe, best_rate / rate);
  return hope;
}

void GammaController::ObserveLookup(int drafted, double verify_s, int accepted) {
  const double fair = Rate(current_);
  lookup_.Observe(drafted, accepted, round_);
  costs_.Observe({}, drafted + 1, verify_s, round_);
  tokens_ = acceptance_.Expected();
  ++round_;
  used_lookup_ = true;
  const double spent = costs_.Verify(drafted + 1);
  elapsed_s_ += spent;
  if (probing_) lost_s_ = std::max(0.0, lost_s_ + spent - (accepted + 1) / fair);
}

void GammaController::Observe(std::span<const double> draft_steps_s, double verify_s,
                              int accepted) {
  const int drafted = static_cast<int>(draft_steps_s.size());
  const bool known = costs_.plain_samples() >= kPlainFirst;
  const double fair = known ? Rate(current_) : 0;
  acceptance_.Observe(drafted, accepted, round_);
  costs_.Observe(draft_steps_s, drafted + 1, verify_s, round_);
  tokens_ = acceptance_.Expected();
  ++round_;
  used_lookup_ = false;
  // Estimates instead of the raw times: a stall during a probe is not the probe's fault.
  const double spent = costs_.Round(drafted);
  elapsed_s_ += spent;
  if (!probing_ || !known) return;
  // A longer draft is beside what the current gamma would have done with the same tokens: a first
  // token rejected costs both, and is no reason to stop probing.
  const double loss = drafted > current_
                          ? spent - costs_.Round(current_) - std::max(0, accepted - current_) / fair
                          : spent - (accepted + 1) / fair;
  lost_s_ = std::max(0.0, lost_s_ + loss);
}

void GammaController::Assume(const AcceptanceModel& acceptance) {
  acceptance_ = acceptance;
  acceptance_.Resume();
  tokens_ = acceptance_.Expected();
}

int GammaController::SharedLookup(int most, double row_price, int gamma) {
  const AcceptanceModel::Tokens expected = lookup_.Expected();
  int best = 0;
  double best_gain = tokens_[static_cast<size_t>(gamma)] - 1.0 - gamma * row_price;
  for (int count = 1; count <= most; ++count) {
    const double gain = expected[static_cast<size_t>(count)] - 1.0 - count * row_price;
    if (gain <= best_gain) continue;
    best_gain = gain;
    best = count;
  }
  return best;
}

void GammaController::NoteShared(int gamma) { Record(gamma, Reason::kShared, 1.0); }

void GammaController::ObserveShared(int drafted, int accepted, bool looked_up) {
  (looked_up ? lookup_ : acceptance_).Observe(drafted, accepted, round_);
  tokens_ = acceptance_.Expected();
  ++round_;
  used_lookup_ = looked_up;
  probing_ = false;
}

void GammaController::Record(int gamma, Reason reason, double gain) {
  if (gamma == used_) return;
  used_ = gamma;
  const Change change{round_ - start_, gamma, reason, gain};
  if (changes_.size() < kChanges) {
    changes_.push_back(change);
  } else {
    changes_[next_change_] = change;
    next_change_ = (next_change_ + 1) % kChanges;
  }
}

std::vector<GammaChange> GammaController::Changes() const {
  std::vector<GammaChange> result;
  result.reserve(changes_.size());
  for (size_t i = 0; i < changes_.size(); ++i) {
    const Change& change = changes_[(next_change_ + i) % changes_.size()];
    char text[80];
    switch (change.reason) {
      case Reason::kMeasurePlain:
        std::snprintf(text, sizeof(text), "measuring plain steps");
        break;
      case Reason::kKept:
        std::snprintf(text, sizeof(text), "the fastest in the answer before");
        break;
      case Reason::kProbe:
        std::snprintf(text, sizeof(text), "probe, %.2f times the tokens/s expected", change.gain);
        break;
      case Reason::kEndOfProbe:
        std::snprintf(text, sizeof(text), "probe over, this is still the fastest");
        break;
      case Reason::kLookup:
        std::snprintf(text, sizeof(text),
                      "the text repeats itself, %.2f times the tokens/s expected", change.gain);
        break;
      case Reason::kEndOfLookup:
        std::snprintf(text, sizeof(text), "the text does not repeat itself any more");
        break;
      case Reason::kShared:
        std::snprintf(text, sizeof(text), "best for all sequences together");
        break;
      case Reason::kFaster:
        std::snprintf(text, sizeof(text), "%.2f times the tokens/s expected", change.gain);
        break;
    }
    result.push_back({static_cast<int>(change.round), change.gamma, text});
  }
  return result;
}

}  // namespace quantspec
