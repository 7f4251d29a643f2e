#include "decode/pass_costs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"

namespace quantspec {
namespace {

// A machine whose passes cost base + row * (rows - 1), with jitter of 10 %.
struct Machine {
  double target_base, target_row, draft_base, draft_row;
  double accept;

  double Target(int rows) const { return target_base + target_row * (rows - 1); }
  double Draft(int rows) const { return draft_base + draft_row * (rows - 1); }
  double Tokens(int gamma) const {
    double all = 1, tokens = 1;
    for (int i = 0; i < gamma; ++i) tokens += all *= accept;
    return tokens;
  }
  double Rate(int sequences, int gamma) const {
    return sequences * Tokens(gamma) / (gamma * Draft(sequences) + Target(sequences * (gamma + 1)));
  }
};

// Plays `rounds` rounds of `sequences` sequences; returns the tokens a second of the last half.
double Play(const Machine& machine, PassCosts& costs, int sequences, int rounds) {
  std::vector<AcceptanceModel> acceptance(static_cast<size_t>(sequences));
  uint64_t state = 1;
  const auto uniform = [&] { return static_cast<double>(MixBits(++state) >> 11) * 0x1p-53; };
  const auto jitter = [&] { return 0.95 + 0.1 * uniform(); };
  double tokens = 0, seconds = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<RoundMember> members(acceptance.size());
    for (size_t i = 0; i < members.size(); ++i) {
      members[i].tokens = acceptance[i].Expected();
      members[i].most = kMaxGamma;
    }
    costs.Plan(members);
    int rows = sequences;
    double spent = 0, gained = 0;
    for (int k = 1; k <= kMaxGamma; ++k) {
      const auto drafting = static_cast<int>(
          std::ranges::count_if(members, [&](const auto& member) { return member.gamma >= k; }));
      if (drafting == 0) break;
      spent += machine.Draft(drafting);
      costs.Observe(Reader::kDraft, drafting, machine.Draft(drafting) * jitter());
      rows += drafting;
    }
    spent += machine.Target(rows);
    costs.Observe(Reader::kTarget, rows, machine.Target(rows) * jitter());
    for (size_t i = 0; i < members.size(); ++i) {
      int accepted = 0;
      while (accepted < members[i].gamma && uniform() < machine.accept) ++accepted;
      acceptance[i].Observe(members[i].gamma, accepted, round);
      gained += 1 + accepted;
    }
    if (round < rounds / 2) continue;
    tokens += gained;
    seconds += spent;
  }
  return tokens / seconds;
}

double BestRate(const Machine& machine, int sequences) {
  double best = 0;
  for (int gamma = 0; gamma <= kMaxGamma; ++gamma) {
    best = std::max(best, machine.Rate(sequences, gamma));
  }
  return best;
}

TEST(PassCosts, FindsTheBestGammaForAllTogether) {
  // Memory-bound passes, whose rows are nearly free; arithmetic-bound ones, where drafts lose;
  // drafts that are hardly ever right.
  const std::vector<Machine> machines = {{10, 0.2, 4, 0.1, 0.9},
                                         {10, 3.0, 8, 2.5, 0.97},
                                         {10, 1.0, 5, 0.5, 0.9},
                                         {10, 0.5, 3, 0.2, 0.2}};
  for (const Machine& machine : machines) {
    for (const int sequences : {2, 3, 8, 16}) {
      PassCosts costs(machine.draft_base / machine.target_base);
      const double rate = Play(machine, costs, sequences, 600);
      EXPECT_GT(rate, 0.93 * BestRate(machine, sequences))
          << machine.target_row << " " << sequences;
      EXPECT_GT(rate, 0.98 * machine.Rate(sequences, 0)) << "slower than plain";
    }
  }
}

TEST(PassCosts, StaysPlainUntilATargetsPassWasSeen) {
  PassCosts costs;
  std::vector<RoundMember> members(4);
  for (RoundMember& member : members) {
    member.tokens = AcceptanceModel().Expected();
    member.most = 8;
  }
  costs.Plan(members);
  for (const RoundMember& member : members) EXPECT_EQ(member.gamma, 0);
}

TEST(PassCosts, GivesDraftsToThoseWhoseDraftsAreRight) {
  PassCosts costs;
  for (int i = 0; i < 20; ++i) {
    costs.Observe(Reader::kTarget, 2, 10.0);
    costs.Observe(Reader::kTarget, 6, 14.0);
    costs.Observe(Reader::kDraft, 1, 3.0);
    costs.Observe(Reader::kDraft, 2, 3.5);
  }
  AcceptanceModel good, bad;
  for (int i = 0; i < 60; ++i) {
    good.Observe(4, 4, i);
    bad.Observe(1, 0, i);
  }
  std::vector<RoundMember> members(2);
  members[0] = {good.Expected(), 8, 0};
  members[1] = {bad.Expected(), 8, 0};
  costs.Plan(members);
  EXPECT_GE(members[0].gamma, 2);
  EXPECT_EQ(members[1].gamma, 0);
  EXPECT_GT(costs.row_price(), 0);
  members[0].most = 1;
  costs.Plan(members);
  EXPECT_LE(members[0].gamma, 1) << "its round has no room for more";
}

// One sequence whose drafts are always right, seven whose never are, on a machine where rows are
// dear: the seven must not pay for the one.
TEST(PassCosts, NobodyLosesMoreThanHalf) {
  PassCosts costs;
  for (int i = 0; i < 40; ++i) {
    for (const int rows : {1, 8, 24}) costs.Observe(Reader::kTarget, rows, 4.0 + 2.0 * rows);
    costs.Observe(Reader::kDraft, 1, 0.01);
  }
  AcceptanceModel good, bad;
  for (int i = 0; i < 200; ++i) {
    good.Observe(16, 16, i);
    bad.Observe(1, 0, i);
  }
  std::vector<RoundMember> members(8, {bad.Expected(), 16, 0});
  members[0] = {good.Expected(), 16, 0};
  costs.Plan(members);
  int rows = 8;
  for (const RoundMember& member : members) rows += member.gamma;
  EXPECT_LE(4.0 + 2.0 * rows, 2.1 * (4.0 + 2.0 * 8));
  EXPECT_LE(8 * costs.most_lookup() * 2.0, 4.0 + 2.0 * 8);
  EXPECT_GE(costs.most_lookup(), 1);
}

TEST(PassLine, FollowsALineAndItsDrift) {
  PassLine line;
  EXPECT_EQ(line.Seconds(3), 0);
  for (int i = 0; i < 40; ++i) {
    for (const int rows : {1, 4, 8}) line.Observe(rows, 5.0 + 2.0 * (rows - 1), i);
  }
  EXPECT_NEAR(line.Seconds(6), 15.0, 0.6);
  EXPECT_NEAR(line.Slope(), 2.0, 0.15);
  // Everything takes twice as long; only one number of rows is seen.
  for (int i = 0; i < 40; ++i) line.Observe(4, 22.0, 40 + i);
  EXPECT_NEAR(line.Seconds(8), 38.0, 4.0);
}

}  // namespace
}  // namespace quantspec
