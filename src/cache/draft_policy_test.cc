// What drafts read, over the reference backend.
#include "cache/draft_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/view.h"

namespace quantspec {
namespace {

constexpr KvGeometry kGeometry{2, 64};
constexpr int kLayers = 2;
constexpr int kMost = 80;

// A policy over views of made-up slots: slot i is group i + 100.
class PolicyUser {
 public:
  explicit PolicyUser(int draft_context)
      : backend_(MakeReferenceBackend()),
        table_(backend_->Allocate(kMost * sizeof(int32_t))),
        policy_(MakeDraftPolicy(SpecOf(draft_context), *backend_)) {
    for (int i = 0; i < kMost; ++i) Table()[i] = i + 100;
  }

  static DraftPolicySpec SpecOf(int budget) {
    DraftPolicySpec spec;
    spec.geometry = kGeometry;
    spec.q_heads = kGeometry.kv_heads;
    spec.layers = kLayers;
    spec.context = kMost * kKvGroup;
    spec.draft.budget_tokens = budget;
    return spec;
  }
  void Begin(Reader reader, int64_t groups, StepPart part) {
    const int length = static_cast<int>(groups) * kKvGroup;
    policy_->BeginStep(*backend_,
                       {reader, length, 1, length, [&](int) { return Target(groups); }, part});
  }
  KvView Target(int64_t groups) const {
    KvView view;
    view.runs[0] = {Table(), groups, false, Planes::kBoth};
    view.run_count = groups > 0 ? 1 : 0;
    view.dense_count = 1;
    return view;
  }
  // A step of the target whose masses are `mass(head, group)`; false if it asks for none.
  template <typename Mass>
  bool StepTarget(int64_t groups, bool last_of_prompt, Mass mass) {
    Begin(Reader::kTarget, groups, last_of_prompt ? StepPart::kEndOfPrompt : StepPart::kDecode);
    bool is_asked = false;
    for (int layer = 0; layer < kLayers; ++layer) {
      float* masses = policy_->Masses(layer);
      if (masses == nullptr) continue;
      is_asked = true;
      for (int head = 0; head < kGeometry.kv_heads; ++head) {
        for (int group = 0; group < groups; ++group) {
          masses[head * groups + group] = mass(head, group);
        }
      }
    }
    policy_->EndStep();
    return is_asked;
  }
  KvView Draft(int64_t groups) {
    Begin(Reader::kDraft, groups, StepPart::kDecode);
    const KvView view = policy_->View(kLayers - 1, Target(groups));
    policy_->EndStep();
    return view;
  }
  DraftPolicy& policy() { return *policy_; }

 private:
  int32_t* Table() const { return reinterpret_cast<int32_t*>(table_.data()); }

  std::unique_ptr<Backend> backend_;
  DeviceMemory table_;
  std::unique_ptr<DraftPolicy> policy_;
};

DraftOptions UserBudget(int tokens) { return PolicyUser::SpecOf(tokens).draft; }

float Rising(int head, int group) { return static_cast<float>(head == 0 ? group : -group); }

std::vector<int32_t> SlotsOf(const GroupRun& run, int head) {
  const int32_t* first = run.slots + (run.by_head ? head * run.count : 0);
  return {first, first + run.count};
}

TEST(DraftPolicy, ReadsTheHeaviestGroupsOfEveryHeadAndTheNewestTwoExactly) {
  PolicyUser user(3 * kKvGroup);
  EXPECT_TRUE(user.StepTarget(20, true, Rising));
  const KvView view = user.Draft(20);
  ASSERT_EQ(view.run_count, 2);
  EXPECT_EQ(view.runs[0].planes, Planes::kUpper);
  EXPECT_EQ(SlotsOf(view.runs[0], 0), (std::vector<int32_t>{115, 116, 117}));
  EXPECT_EQ(SlotsOf(view.runs[0], 1), (std::vector<int32_t>{100, 101, 102}));
  EXPECT_EQ(view.runs[1].planes, Planes::kBoth);
  EXPECT_EQ(SlotsOf(view.runs[1], 1), (std::vector<int32_t>{118, 119}));
  EXPECT_EQ(view.dense_count, 1);
}

TEST(DraftPolicy, ReadsAllGroupsBeforeTheTargetHasAttended) {
  PolicyUser user(kKvGroup);
  const KvView view = user.Draft(20);
  EXPECT_EQ(view.runs[0].count, 18);
  EXPECT_FALSE(view.runs[0].by_head);
  EXPECT_EQ(view.Groups(), 20);
  user.StepTarget(20, false, Rising);
  EXPECT_EQ(user.Draft(20).runs[0].count, 1);
  user.policy().Forget();
  EXPECT_EQ(user.Draft(20).runs[0].count, 18);
}

TEST(DraftPolicy, CountsGroupsSealedSinceAsTheHeaviest) {
  PolicyUser user(2 * kKvGroup);
  user.StepTarget(20, false, Rising);
  // 20 and 21 are newer than the masses, 22 and 23 are read exactly.
  EXPECT_EQ(SlotsOf(user.Draft(24).runs[0], 1), (std::vector<int32_t>{120, 121}));
}

TEST(DraftPolicy, HasTheSizesThatWereMeasured) {
  EXPECT_EQ(DraftGroups(UserBudget(kDraftBudgetAuto), 8), 8);
  EXPECT_EQ(DraftGroups(UserBudget(kDraftBudgetAuto), 30), 12);
  EXPECT_EQ(DraftGroups(UserBudget(kDraftBudgetAuto), 64), 16);
  EXPECT_EQ(DraftGroups(UserBudget(kDraftBudgetAll), 64), 64);
  EXPECT_EQ(DraftGroups(UserBudget(0), 64), 0);
  EXPECT_EQ(DraftGroups(UserBudget(129), 64), 2);
}

TEST(DraftPolicy, MayReadNoOldGroupAtAll) {
  PolicyUser user(0);
  user.StepTarget(20, false, Rising);
  const KvView view = user.Draft(20);
  ASSERT_EQ(view.run_count, 1);
  EXPECT_EQ(SlotsOf(view.runs[0], 0), (std::vector<int32_t>{118, 119}));
  EXPECT_EQ(user.Draft(1).Groups(), 1);
  EXPECT_EQ(user.Draft(0).run_count, 0);
}

TEST(DraftPolicy, TheWholeUpperPlaneNeedsNoMasses) {
  PolicyUser user(kDraftBudgetAll);
  EXPECT_FALSE(user.StepTarget(60, true, Rising));
  EXPECT_EQ(user.Draft(60).runs[0].count, 58);
}

TEST(DraftPolicy, PlainDecodingAsksForMassesNowAndThen) {
  PolicyUser user(kKvGroup);
  int asked = 0;
  for (int step = 0; step < 33; ++step) asked += user.StepTarget(20, false, Rising) ? 1 : 0;
  EXPECT_EQ(asked, 5);
  user.Draft(20);
  EXPECT_TRUE(user.StepTarget(20, false, Rising)) << "drafts have chosen by the last ones";
}

TEST(DraftPolicy, AStepThatDoesNotEndLeavesTheMassesUnknown) {
  PolicyUser user(kKvGroup);
  user.Begin(Reader::kTarget, 20, StepPart::kEndOfPrompt);
  EXPECT_NE(user.policy().Masses(0), nullptr);
  EXPECT_EQ(user.Draft(20).runs[0].count, 18);
}

}  // namespace
}  // namespace quantspec
