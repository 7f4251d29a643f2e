// The masses of groups, and the choice of the groups with the largest ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "parity/kv.h"

namespace quantspec::testing {
namespace {

constexpr KvGeometry kGeometry{2, 64};
constexpr int kGqa = 3;
constexpr int kQueryHeads = kGqa * kGeometry.kv_heads;
constexpr int64_t kColumns = int64_t{kQueryHeads} * kGeometry.head_dim;
constexpr int64_t kGroups = 21;
constexpr int64_t kTail = 40;
constexpr int64_t kPositions = kGroups * kKvGroup + kTail;
constexpr int64_t kMostTokens = 40;

class Masses : public Parity {
 protected:
  void SetUp() override {
    Parity::SetUp();
    Reserve(AttendLimits(kGeometry, kQueryHeads, kMostTokens, kPositions));
    KvData data(random_, kGeometry, kPositions);
    q_ = random_.Normals(kMostTokens * kColumns);
    // By 5 / 8 nats a group, every other query goes from the first groups to the last.
    const auto width = static_cast<size_t>(kGeometry.head_dim);
    for (size_t i = 0; i < data.k.size(); i += width) {
      const size_t token = i / width / static_cast<size_t>(kGeometry.kv_heads);
      data.k[i] = static_cast<float>(token / kKvGroup);
    }
    for (size_t i = 0; i < q_.size(); i += width) q_[i] = i / width % 2 == 0 ? 5.0f : -5.0f;
    fast_ = std::make_unique<OwnedCache>(*cpu_, kGeometry, KvType::kF16, data, kGroups, kTail);
    plain_ =
        std::make_unique<OwnedCache>(*reference_, kGeometry, KvType::kF16, data, kGroups, kTail);
  }

  std::vector<float> Attend(Backend& backend, const KvView& view, AttendMath math, int64_t tokens,
                            float* masses, float softcap = 0) const {
    std::vector<float> out(static_cast<size_t>(tokens * kColumns));
    AttendArgs args;
    args.geometry = kGeometry;
    args.q_heads = kQueryHeads;
    args.scale = 0.125f;
    args.math = math;
    args.softcap = softcap;
    args.q = ConstRows(q_.data(), tokens, kColumns);
    args.out = Rows(out.data(), tokens, kColumns);
    AttendOne(backend, args, {.first_position = kPositions - tokens, .kv = view, .masses = masses});
    return out;
  }

  Random random_{5};
  std::vector<float> q_;
  std::unique_ptr<OwnedCache> fast_, plain_;
};

TEST_P(Masses, AreWhatTheReferenceSays) {
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kBf16, AttendMath::kFloat}) {
    for (const int64_t tokens : {1, 2, 4, 6, 17, 18, 40}) {
      if (math == AttendMath::kCodes && tokens > kStepRows) continue;
      const std::string what = std::to_string(tokens) + " tokens, " + NameOf(math);
      const int64_t cells = kGeometry.kv_heads * kGroups;
      GuardedRows actual(1, cells), expected(1, cells);
      const std::vector<float> beside =
          Attend(*cpu_, fast_->view, math, tokens, actual.view().data);
      Attend(*reference_, plain_->view, math, tokens, expected.view().data);
      // A tenth for the logarithm, and what rounding queries does to scores.
      ExpectMatch(actual.Packed(), expected.Packed(), {0.3, 0.15}, what);
      EXPECT_GT(Compare(expected.Packed(), std::vector<float>(static_cast<size_t>(cells))).rms,
                1.0);
      EXPECT_TRUE(actual.GuardsSurvive());
      EXPECT_EQ(beside, Attend(*cpu_, fast_->view, math, tokens, nullptr))
          << "masses changed the output: " << what;
    }
  }
}

TEST_P(Masses, FollowCappedScores) {
  const int64_t cells = kGeometry.kv_heads * kGroups;
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat}) {
    GuardedRows actual(1, cells), expected(1, cells), uncapped(1, cells);
    Attend(*cpu_, fast_->view, math, 4, actual.view().data, 5.0f);
    Attend(*reference_, plain_->view, math, 4, expected.view().data, 5.0f);
    Attend(*cpu_, fast_->view, math, 4, uncapped.view().data);
    ExpectMatch(actual.Packed(), expected.Packed(), {0.3, 0.15}, NameOf(math));
    EXPECT_GT(Compare(uncapped.Packed(), expected.Packed()).rms, 1.0);
  }
}

// Prompts give those of the last row, whatever rows come before it in a call.
TEST_P(Masses, OfPromptsBelongToTheLastRow) {
  for (const AttendMath math : {AttendMath::kBf16, AttendMath::kFloat}) {
    std::vector<std::vector<float>> all;
    for (const int64_t tokens : {1, 17, 40}) {
      // The last query is the same one.
      AttendArgs args;
      std::vector<float> out(static_cast<size_t>(tokens * kColumns));
      args.geometry = kGeometry;
      args.q_heads = kQueryHeads;
      args.scale = 0.125f;
      args.math = math;
      args.q = ConstRows(q_.data() + (kMostTokens - tokens) * kColumns, tokens, kColumns);
      args.out = Rows(out.data(), tokens, kColumns);
      all.emplace_back(kGeometry.kv_heads * kGroups);
      AttendOne(
          *cpu_, args,
          {.first_position = kPositions - tokens, .kv = fast_->view, .masses = all.back().data()});
    }
    EXPECT_EQ(all[0], all[1]);
    EXPECT_EQ(all[0], all[2]);
  }
}

TEST_P(Masses, AreOfTheFirstRun) {
  KvView two = fast_->view;
  two.run_count = 2;
  two.runs[0] = {fast_->slots.data(), 13};
  two.runs[1] = {fast_->slots.data() + 13, kGroups - 13};
  std::vector<float> whole(kGeometry.kv_heads * kGroups), first(kGeometry.kv_heads * 13);
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat}) {
    Attend(*cpu_, fast_->view, math, 2, whole.data());
    Attend(*cpu_, two, math, 2, first.data());
    for (int64_t head = 0; head < kGeometry.kv_heads; ++head) {
      for (int64_t g = 0; g < 13; ++g) {
        EXPECT_NEAR(first[static_cast<size_t>(head * 13 + g)],
                    whole[static_cast<size_t>(head * kGroups + g)], 0.1);
      }
    }
  }
}

// -------------------------------------------------------------------------------- choices

// By a plain sort.
std::vector<int32_t> Sorted(const std::vector<float>& masses, int64_t heads,
                            const std::vector<int32_t>& slots, int64_t count) {
  const int64_t with_mass = static_cast<int64_t>(masses.size()) / heads;
  std::vector<int32_t> chosen;
  for (int64_t head = 0; head < heads; ++head) {
    const auto mass = [&](int64_t g) {
      return g < with_mass ? masses[static_cast<size_t>(head * with_mass + g)] : INFINITY;
    };
    std::vector<int64_t> groups(slots.size());
    std::iota(groups.begin(), groups.end(), 0);
    std::stable_sort(groups.begin(), groups.end(),
                     [&](int64_t a, int64_t b) { return mass(a) > mass(b); });
    groups.resize(static_cast<size_t>(count));
    std::sort(groups.begin(), groups.end());
    for (const int64_t g : groups) chosen.push_back(slots[static_cast<size_t>(g)]);
  }
  return chosen;
}

TEST_P(Masses, TheLargestAreChosenLikeByASort) {
  constexpr int64_t kHeads = kGeometry.kv_heads;
  for (const int64_t groups : {1, 2, 7, 20}) {
    std::vector<int32_t> slots(static_cast<size_t>(groups));
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int32_t>(i * 17 % 23);
    for (const int64_t newer : {0, 1, 3}) {
      if (newer > groups) continue;
      std::vector<float> masses(static_cast<size_t>(kHeads * (groups - newer)));
      // Many are equal.
      for (float& x : masses) x = std::floor(2.0f * random_.Normal()) - 4.0f;
      for (int64_t count = 0; count <= groups; ++count) {
        const std::vector<int32_t> expected = Sorted(masses, kHeads, slots, count);
        for (Backend* backend : {cpu_.get(), reference_.get()}) {
          std::vector<int32_t> chosen(static_cast<size_t>(kHeads * count) + 1, -7);
          backend->ChooseGroups(ConstRows(masses.data(), kHeads, groups - newer), slots, count,
                                chosen.data());
          EXPECT_EQ(chosen.back(), -7);
          chosen.pop_back();
          EXPECT_EQ(chosen, expected)
              << backend->isa() << ", " << count << " of " << groups << ", " << newer << " newer";
        }
      }
    }
  }
}

TEST_P(Masses, NaNIsNeverLarge) {
  const std::vector<float> masses = {NAN, -1.0f, NAN, -2.0f, -3.0f, NAN, NAN, NAN};
  const std::vector<int32_t> slots = {5, 6, 7, 8};
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    std::vector<int32_t> chosen(4);
    backend->ChooseGroups(ConstRows(masses.data(), 2, 4), slots, 2, chosen.data());
    EXPECT_EQ(chosen, (std::vector<int32_t>{6, 8, 5, 6})) << backend->isa();
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Masses, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
