// Attention over some of the sealed groups, and what groups weigh.
#include <gtest/gtest.h>

#include <cstring>

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

class ChosenGroups : public Parity {
 protected:
  void SetUp() override {
    Parity::SetUp();
    Reserve({kMostTokens, 0, kPositions, kGeometry, kQueryHeads});
    data_ = std::make_unique<KvData>(random_, kGeometry, kPositions);
    q_ = random_.Normals(kMostTokens * kColumns);
  }

  std::vector<float> Attend(Backend& backend, const KvView& view, int64_t tokens) const {
    std::vector<float> out(static_cast<size_t>(tokens * kColumns));
    AttendArgs args;
    args.q = ConstRows(q_.data(), tokens, kColumns);
    args.kv = view;
    const DenseSegment& tail = view.dense[0];
    args.first_position = static_cast<int>(tail.first_position + tail.rows - tokens);
    args.q_heads = kQueryHeads;
    args.scale = 0.125f;
    args.out = Rows(out.data(), tokens, kColumns);
    backend.Attend(args);
    return out;
  }

  static std::vector<int32_t> Everything() {
    std::vector<int32_t> all;
    for (int head = 0; head < kGeometry.kv_heads; ++head) {
      for (int32_t group = 0; group < kGroups; ++group) all.push_back(group);
    }
    return all;
  }

  // A segment that holds the chosen groups of `from` and no other.
  static void CopyChosen(const Backend& backend, const SealedSegment& from,
                         const std::vector<int32_t>& chosen, SealedSegment& to) {
    const SealedBytes bytes = backend.SizeOf(kGeometry, 1);
    const size_t heads = kGeometry.kv_heads, count = chosen.size() / heads;
    const auto copy = [&](const std::byte* source, std::byte* target, size_t of_group) {
      const size_t size = of_group / heads;
      for (size_t head = 0; head < heads; ++head) {
        for (size_t i = 0; i < count; ++i) {
          const auto group = static_cast<size_t>(chosen[head * count + i]);
          std::memcpy(target + (head * static_cast<size_t>(to.capacity) + i) * size,
                      source + (head * static_cast<size_t>(from.capacity) + group) * size, size);
        }
      }
    };
    copy(from.upper, to.upper, bytes.upper);
    copy(from.lower, to.lower, bytes.lower);
    copy(from.scales, to.scales, bytes.scales);
    to.groups = static_cast<int64_t>(count);
  }

  void ExpectLikeACacheOfThese(Backend& backend, const std::vector<int32_t>& chosen) {
    const OwnedCache whole(backend, kGeometry, KvType::kF16, *data_, kGroups, kTail);
    const auto count = static_cast<int64_t>(chosen.size()) / kGeometry.kv_heads;
    OwnedSealed some(backend, kGeometry, std::max(count, int64_t{1}));
    CopyChosen(backend, whole.sealed.segment, chosen, some.segment);
    for (const Planes planes : {Planes::kUpper, Planes::kBoth}) {
      for (const int64_t tokens : {1, 5, 17, 40}) {
        if (&backend == reference_.get() && tokens > 1) break;  // it is slow
        KvView view = whole.view, small = whole.view;
        view.planes = small.planes = planes;
        view.chosen = chosen.data();
        view.chosen_groups = count;
        small.sealed = some.segment;
        EXPECT_EQ(Attend(backend, view, tokens), Attend(backend, small, tokens))
            << backend.isa() << ", " << count << " groups, " << tokens << " tokens";
      }
    }
  }

  Random random_{5};
  std::unique_ptr<KvData> data_;
  std::vector<float> q_;
};

TEST_P(ChosenGroups, AreAttendedOverLikeACacheOfThemAlone) {
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    ExpectLikeACacheOfThese(*backend, {0, 20});
    ExpectLikeACacheOfThese(*backend, {3, 4, 17, 0, 9, 10});
    ExpectLikeACacheOfThese(*backend, {0, 1, 2, 4, 5, 6, 7, 9, 11, 12, 19, 20,  //
                                       1, 2, 3, 4, 5, 6, 7, 8, 9,  10, 11, 12});
    ExpectLikeACacheOfThese(*backend, Everything());
  }
}

TEST_P(ChosenGroups, MayBeNoneBesideATail) {
  const OwnedCache whole(*cpu_, kGeometry, KvType::kF16, *data_, kGroups, kTail);
  const int32_t none = 0;
  KvView view = whole.view, tail = whole.view;
  view.chosen = &none;
  tail.sealed.groups = 0;
  EXPECT_EQ(Attend(*cpu_, view, 1), Attend(*cpu_, tail, 1));
}

TEST_P(ChosenGroups, WeighWhatTheReferenceSays) {
  // By 5 / 8 nats a group, every other query turns from the first groups to the last.
  const auto width = static_cast<size_t>(kGeometry.head_dim);
  for (size_t i = 0; i < data_->k.size(); i += width) {
    const size_t token = i / width / static_cast<size_t>(kGeometry.kv_heads);
    data_->k[i] = static_cast<float>(token / kKvGroup);
  }
  for (size_t i = 0; i < q_.size(); i += width) q_[i] = i / width % 2 == 0 ? 5.0f : -5.0f;
  const OwnedCache fast(*cpu_, kGeometry, KvType::kF16, *data_, kGroups, kTail);
  const OwnedCache plain(*reference_, kGeometry, KvType::kF16, *data_, kGroups, kTail);
  for (const int64_t tokens : {1, 2, 4, 6, 17}) {
    GuardedRows actual(1, kGeometry.kv_heads * kGroups), expected(1, kGeometry.kv_heads * kGroups);
    KvView view = fast.view;
    view.group_weights = actual.view().data;
    const std::vector<float> beside = Attend(*cpu_, view, tokens);
    view = plain.view;
    view.group_weights = expected.view().data;
    Attend(*reference_, view, tokens);
    // A tenth for the logarithm, and what rounding queries does to scores.
    ExpectMatch(actual.Packed(), expected.Packed(), {0.3, 0.15},
                std::to_string(tokens) + " tokens");
    EXPECT_GT(Compare(expected.Packed(), std::vector<float>(expected.Packed().size())).rms, 1.0);
    EXPECT_TRUE(actual.GuardsSurvive());
    EXPECT_EQ(beside, Attend(*cpu_, fast.view, tokens)) << "weighing changed the output";
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ChosenGroups, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
