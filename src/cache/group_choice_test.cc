#include "cache/group_choice.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/buffer.h"
#include "quantspec/types.h"

namespace quantspec {
namespace {

TEST(DraftGroups, AutoIsAQuarterButNotLessThanTwelve) {
  const auto groups = [](int64_t of) { return DraftGroups(kDraftContextAuto, of); };
  EXPECT_EQ(groups(0), 0);
  EXPECT_EQ(groups(5), 5);
  EXPECT_EQ(groups(12), 12);
  EXPECT_EQ(groups(20), 12);
  EXPECT_EQ(groups(48), 12);
  EXPECT_EQ(groups(49), 13);
  EXPECT_EQ(groups(62), 16);
  EXPECT_EQ(groups(1000), 250);
}

TEST(DraftGroups, HoldTheTokensAskedFor) {
  EXPECT_EQ(DraftGroups(0, 62), 0);
  EXPECT_EQ(DraftGroups(1, 62), 1);
  EXPECT_EQ(DraftGroups(128, 62), 1);
  EXPECT_EQ(DraftGroups(129, 62), 2);
  EXPECT_EQ(DraftGroups(4096, 62), 32);
  EXPECT_EQ(DraftGroups(4096, 9), 9);
  EXPECT_EQ(DraftGroups(kDraftContextAll, 62), 62);
}

class GroupChoiceTest : public ::testing::Test {
 protected:
  GroupChoiceTest() : memory_(GroupChoice::Bytes(kHeads, kCapacity)) {
    std::byte* next = memory_.data();
    choice_ = GroupChoice(next, kHeads, kCapacity);
    EXPECT_EQ(next, memory_.data() + memory_.bytes());
  }

  void Weigh(const std::vector<float>& weights) {
    std::copy(weights.begin(), weights.end(),
              choice_.Weights(static_cast<int64_t>(weights.size()) / kHeads));
  }
  std::vector<int32_t> Choose(int64_t groups, int64_t count) {
    const int32_t* chosen = choice_.Choose(groups, count);
    if (chosen == nullptr) return {-1};
    return {chosen, chosen + kHeads * count};
  }

  static constexpr int kHeads = 2;
  static constexpr int64_t kCapacity = 6;
  Buffer memory_;
  GroupChoice choice_;
};

TEST_F(GroupChoiceTest, TakesTheHeaviestOfEveryHeadInOrder) {
  Weigh({-5, -1, -9, -2, -3, -4,  //
         -1, -7, -2, -9, -8, -3});
  EXPECT_EQ(Choose(6, 3), (std::vector<int32_t>{1, 3, 4, 0, 2, 5}));
  EXPECT_EQ(Choose(6, 1), (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(Choose(6, 0), (std::vector<int32_t>{}));
  EXPECT_EQ(Choose(6, 6), (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}));
}

TEST_F(GroupChoiceTest, OfEqualsTheOlder) {
  Weigh({-1, -1, -1, -1, -2, -1, -1, -2});
  EXPECT_EQ(Choose(4, 2), (std::vector<int32_t>{0, 1, 1, 2}));
}

TEST_F(GroupChoiceTest, AGroupSealedSinceCountsAsHeaviest) {
  Weigh({-1, -3, -2, -4, -5, -3, -2, -1});
  EXPECT_EQ(Choose(5, 2), (std::vector<int32_t>{0, 4, 3, 4}));
}

TEST_F(GroupChoiceTest, FollowsTheNewestWeights) {
  Weigh({-1, -3, -1, -3});
  EXPECT_EQ(Choose(2, 1), (std::vector<int32_t>{0, 0}));
  Weigh({-3, -1, -1, -3});
  EXPECT_EQ(Choose(2, 1), (std::vector<int32_t>{1, 0}));
}

TEST_F(GroupChoiceTest, AsksForWeightsRarelyWhileNobodyUsesThem) {
  int asked = 0;
  for (int step = 0; step < 80; ++step) asked += choice_.Weights(2) != nullptr ? 1 : 0;
  EXPECT_EQ(asked, 10);
  for (int step = 0; step < 5; ++step) {
    EXPECT_NE(choice_.Choose(2, 1), nullptr);
    EXPECT_NE(choice_.Weights(2), nullptr) << "a draft has used the last ones";
  }
  choice_.Forget();
  EXPECT_NE(choice_.Weights(1), nullptr) << "a new sequence has none";
}

TEST_F(GroupChoiceTest, WithoutWeightsThereIsNoChoice) {
  EXPECT_EQ(Choose(4, 2), (std::vector<int32_t>{-1}));
  Weigh({-1, -3, -1, -3});
  choice_.Forget();
  EXPECT_EQ(Choose(4, 2), (std::vector<int32_t>{-1}));
}

}  // namespace
}  // namespace quantspec
