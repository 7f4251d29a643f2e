#include "decode/pass_costs.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace quantspec {
namespace {

constexpr double kRowShare = 0.15;    // cost of a further row over that of one, before it is known,
constexpr double kRowWeight = 4.0;    // in samples times squared rows
constexpr double kLineWeight = 3.0;   // samples that the line counts for beside a number's own
constexpr int kTrusted = 20;          // samples are counted up to this
constexpr double kLeavePlain = 1.03;  // gain from which drafts begin
constexpr double kHope = 1.05;        // gain, if all doubts resolve in its favour, worth a probe
constexpr double kHopedDraft = 0.8;   // a draft's pass may take so much of what is expected
constexpr double kHopedToken = 0.95;  // and so many first drafts may be accepted
constexpr double kHopedRow = 0.9;     // and so much of it a row,
constexpr double kHopedUnseenRow = 0.3;  // before two numbers of rows were seen
constexpr int64_t kMostProbeGap = 512;   // rounds from one probe to the next
constexpr double kLeastShare = 0.5;      // of what a sequence gets if nobody drafts
constexpr size_t kMostMembers = 128;     // that are planned for; more never draft

}  // namespace

void PassLine::Observe(int rows, double seconds, int64_t round) {
  QS_CHECK(rows >= 1);
  TimeEstimate& own = measured_[static_cast<size_t>(std::min(rows, kMostRows) - 1)];
  const double factor = own.Add(seconds, round);
  ++samples_;
  // A longer context and a busier machine change all passes alike.
  for (TimeEstimate& other : measured_) {
    if (&other != &own) other.Scale(factor);
  }
  Fit();
}

void PassLine::Fit() {
  double w = 0, x = 0, y = 0, xx = 0, xy = 0;
  int seen = 0;
  for (int i = 0; i < kMostRows; ++i) {
    const TimeEstimate& own = measured_[static_cast<size_t>(i)];
    if (!own.known()) continue;
    const double weight = std::min(own.count(), kTrusted);
    ++seen;
    w += weight;
    x += weight * i;
    y += weight * own.value();
    xx += weight * i * i;
    xy += weight * i * own.value();
  }
  has_slope_ = seen > 1;
  // At the mean number of rows the line takes the mean time; kRowShare says how it begins.
  const double prior = kRowShare * (y / w) / (1.0 + kRowShare * (x / w));
  slope_ = std::max(0.0, (xy - x * y / w + kRowWeight * prior) / (xx - x * x / w + kRowWeight));
  base_ = std::max(0.0, (y - slope_ * x) / w);
}

double PassLine::Seconds(int rows) const {
  if (!known()) return 0;
  const double line = base_ + slope_ * (rows - 1);
  if (rows > kMostRows) return line;
  const TimeEstimate& own = measured_[static_cast<size_t>(rows - 1)];
  if (!own.known()) return line;
  const double samples = std::min(own.count(), kTrusted);
  return (samples * own.value() + kLineWeight * line) / (samples + kLineWeight);
}

void PassCosts::Observe(Reader reader, int rows, double seconds) {
  (reader == Reader::kTarget ? target_ : draft_).Observe(rows, seconds, round_);
}

double PassCosts::Draft(int rows) const {
  return draft_.known() ? draft_.Seconds(rows) : draft_over_target_ * Target(rows);
}

double PassCosts::RateAt(int depth, std::span<const RoundMember> members,
                         std::span<int> gammas) const {
  std::ranges::fill(gammas, 0);
  const int count = static_cast<int>(members.size());
  double tokens = count;
  double seconds = 0;
  int rows = count;
  for (int k = 1; k <= depth; ++k) {
    int drafting = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      const auto at = static_cast<size_t>(k);
      const double gain = members[i].tokens[at] - members[i].tokens[at - 1];
      // What joins pays for its rows in tokens of the others; the pass itself is paid by all.
      const double price = rate_ * (target_.Slope() + DraftSlope());
      if (gammas[i] != k - 1 || members[i].most < k || gain < price) continue;
      gammas[i] = k;
      tokens += gain;
      ++drafting;
    }
    if (drafting == 0) break;
    rows += drafting;
    seconds += Draft(drafting);
  }
  seconds += Target(rows);
  double least = members[0].tokens[static_cast<size_t>(gammas[0])];
  for (size_t i = 1; i < members.size(); ++i) {
    least = std::min(least, members[i].tokens[static_cast<size_t>(gammas[i])]);
  }
  const bool is_fair = least * Target(count) >= kLeastShare * seconds;
  return is_fair ? tokens / std::max(1e-12, seconds) : 0;
}

void PassCosts::Plan(std::span<RoundMember> members) {
  ++round_;
  for (RoundMember& member : members) member.gamma = 0;
  rate_ = row_price_ = 0;
  most_lookup_ = 0;
  if (!target_.known() || members.empty() || members.size() > kMostMembers) return;
  std::array<int, kMostMembers> memory{};
  const std::span<int> gammas(memory.data(), members.size());
  rate_ = static_cast<double>(members.size()) / Target(static_cast<int>(members.size()));
  const double plain = rate_;
  double best = plain * (drafted_last_ ? 1.0 : kLeavePlain);
  for (int depth = 1; depth <= kMaxGamma; ++depth) {
    const double rate = RateAt(depth, members, gammas);
    if (rate <= best) continue;
    best = rate;
    for (size_t i = 0; i < members.size(); ++i) members[i].gamma = gammas[i];
  }
  drafted_last_ = std::ranges::any_of(members, [](const auto& member) { return member.gamma > 0; });
  if (drafted_last_) probe_gap_ = kProbeGap;
  if (drafted_last_) rate_ = best;
  row_price_ = rate_ * target_.Slope();
  const double extra_s = (1.0 / kLeastShare - 1.0) * Target(static_cast<int>(members.size()));
  const double row_s = target_.Slope() * static_cast<double>(members.size());
  most_lookup_ =
      row_s * kMaxGamma <= extra_s ? kMaxGamma : std::max(1, static_cast<int>(extra_s / row_s));
  if (!drafted_last_ && round_ - last_probe_ >= probe_gap_) Probe(members, plain);
}

// All draft one token: that tells what drafts and rows cost, and how often drafts are right, for a
// part of one round.
void PassCosts::Probe(std::span<RoundMember> members, double plain) {
  const int count = static_cast<int>(members.size());
  const double hoped_row = target_.has_slope() ? kHopedRow : kHopedUnseenRow;
  const double seconds =
      kHopedDraft * Draft(count) + Target(count) + hoped_row * target_.Slope() * count;
  if (count * (1.0 + kHopedToken) / seconds < kHope * plain) return;
  for (RoundMember& member : members) member.gamma = std::min(member.most, 1);
  last_probe_ = round_;
  probe_gap_ = std::min(2 * probe_gap_, kMostProbeGap);
}

}  // namespace quantspec
