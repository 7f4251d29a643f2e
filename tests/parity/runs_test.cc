// Attention over runs of slots: whichever slots hold a group, and whoever else is read.
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
constexpr AttendMath kMaths[] = {AttendMath::kCodes, AttendMath::kBf16, AttendMath::kFloat};

class Runs : public Parity {
 protected:
  void SetUp() override {
    Parity::SetUp();
    Reserve(AttendLimits(kGeometry, kQueryHeads, kMostTokens, kPositions));
    data_ = std::make_unique<KvData>(random_, kGeometry, kPositions);
    q_ = random_.Normals(kMostTokens * kColumns);
  }

  OwnedCache CacheOf(Backend& backend, const std::vector<int32_t>& slots = {}) const {
    return OwnedCache(backend, kGeometry, KvType::kF16, *data_, kGroups, kTail, slots);
  }

  std::vector<float> Attend(Backend& backend, const KvView& view, AttendMath math,
                            int64_t tokens) const {
    std::vector<float> out(static_cast<size_t>(tokens * kColumns));
    AttendArgs args;
    args.geometry = kGeometry;
    args.q_heads = kQueryHeads;
    args.scale = 0.125f;
    args.math = math;
    args.q = ConstRows(q_.data(), tokens, kColumns);
    args.out = Rows(out.data(), tokens, kColumns);
    const DenseSegment& tail = view.dense[0];
    AttendOne(backend, args,
              {.first_position = tail.first_position + tail.rows - tokens, .kv = view});
    return out;
  }

  // The reference is slow.
  std::vector<int64_t> TokensFor(const Backend& backend, AttendMath math) const {
    if (&backend == reference_.get()) return {1};
    return math == AttendMath::kCodes ? std::vector<int64_t>{1, 5, 17}
                                      : std::vector<int64_t>{1, 17, 40};
  }

  // A segment that holds in slots 0, 1, 2, ... what the given slots of `from` hold, head by head.
  static OwnedSealed CopySlots(const Backend& backend, const SealedSegment& from,
                               const std::vector<int32_t>& slots) {
    const SealedBytes bytes = backend.SizeOf(kGeometry, 1);
    const size_t heads = kGeometry.kv_heads, count = slots.size() / heads;
    OwnedSealed to(backend, kGeometry, static_cast<int64_t>(std::max<size_t>(count, 1)));
    const auto copy = [&](const std::byte* source, std::byte* target, size_t of_group) {
      const size_t size = of_group / heads;
      for (size_t head = 0; head < heads; ++head) {
        for (size_t i = 0; i < count; ++i) {
          const auto slot = static_cast<size_t>(slots[head * count + i]);
          std::memcpy(target + (head * static_cast<size_t>(to.segment.capacity) + i) * size,
                      source + (head * static_cast<size_t>(from.capacity) + slot) * size, size);
        }
      }
    };
    copy(from.upper, to.segment.upper, bytes.upper);
    copy(from.lower, to.segment.lower, bytes.lower);
    copy(from.scales, to.segment.scales, bytes.scales);
    return to;
  }

  // `slots` by head.
  void ExpectLikeACacheOfThese(Backend& backend, const std::vector<int32_t>& slots) {
    const OwnedCache whole = CacheOf(backend);
    const auto count = static_cast<int64_t>(slots.size()) / kGeometry.kv_heads;
    const OwnedSealed some = CopySlots(backend, whole.sealed.segment, slots);
    for (const AttendMath math : kMaths) {
      for (const Planes planes : {Planes::kUpper, Planes::kBoth}) {
        KvView by_head = whole.view, small = whole.view;
        by_head.runs[0] = {slots.data(), count, true, planes};
        small.sealed = some.segment;
        small.runs[0] = {whole.slots.data(), count, false, planes};
        for (const int64_t tokens : TokensFor(backend, math)) {
          EXPECT_EQ(Attend(backend, by_head, math, tokens), Attend(backend, small, math, tokens))
              << backend.isa() << ", " << count << " groups, " << tokens << " tokens";
        }
      }
    }
  }

  Random random_{5};
  std::unique_ptr<KvData> data_;
  std::vector<float> q_;
};

TEST_P(Runs, ByHeadAreReadLikeACacheOfTheseSlots) {
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    ExpectLikeACacheOfThese(*backend, {0, 20});
    ExpectLikeACacheOfThese(*backend, {3, 4, 17, 0, 9, 10});
    ExpectLikeACacheOfThese(*backend, {0, 1, 2, 4, 5, 6, 7, 9, 11, 12, 19, 20,  //
                                       1, 2, 3, 4, 5, 6, 7, 8, 9,  10, 11, 12});
  }
}

TEST_P(Runs, MayBeEmptyBesideATail) {
  const OwnedCache whole = CacheOf(*cpu_);
  KvView empty = whole.view, none = whole.view;
  empty.runs[0].count = 0;
  none.run_count = 0;
  none.sealed = {};
  for (const AttendMath math : kMaths) {
    EXPECT_EQ(Attend(*cpu_, empty, math, 1), Attend(*cpu_, none, math, 1));
  }
}

TEST_P(Runs, ScatteredSlotsAreReadLikeNeighbours) {
  std::vector<int32_t> slots(kGroups);
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int32_t>(i * 13 % 29);
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    OwnedCache near = CacheOf(*backend), far = CacheOf(*backend, slots);
    for (const Planes planes : {Planes::kUpper, Planes::kBoth}) {
      near.view.runs[0].planes = far.view.runs[0].planes = planes;
      for (const AttendMath math : kMaths) {
        for (const int64_t tokens : TokensFor(*backend, math)) {
          EXPECT_EQ(Attend(*backend, near.view, math, tokens),
                    Attend(*backend, far.view, math, tokens))
              << backend->isa() << ", " << NameOf(math) << ", " << tokens << " tokens";
        }
      }
    }
  }
}

// Runs are cut into splits one by one: the first of whole splits and the second after it are read
// like one run of both.
TEST_P(Runs, TwoAreReadOneAfterTheOther) {
  const OwnedCache whole = CacheOf(*cpu_);
  KvView two = whole.view;
  two.run_count = 2;
  two.runs[0] = {whole.slots.data(), 16};
  two.runs[1] = {whole.slots.data() + 16, kGroups - 16};
  for (const AttendMath math : kMaths) {
    for (const int64_t tokens : TokensFor(*cpu_, math)) {
      EXPECT_EQ(Attend(*cpu_, two, math, tokens), Attend(*cpu_, whole.view, math, tokens))
          << NameOf(math) << ", " << tokens << " tokens";
    }
  }
}

// A draft's view: some groups of each head in the upper plane, the newest two in both.
TEST_P(Runs, OfDifferentPlanesGiveWhatTheReferenceGives) {
  const OwnedCache fast = CacheOf(*cpu_), plain = CacheOf(*reference_);
  const std::vector<int32_t> chosen = {0, 3, 4, 11, 1, 2, 5, 17};
  const int32_t newest[] = {19, 20};
  const auto draft = [&](const OwnedCache& cache, Planes of_newest) {
    KvView view = cache.view;
    view.run_count = 2;
    view.runs[0] = {chosen.data(), 4, true, Planes::kUpper};
    view.runs[1] = {newest, 2, false, of_newest};
    return view;
  };
  for (const AttendMath math : kMaths) {
    const std::vector<float> expected = Attend(*reference_, draft(plain, Planes::kBoth), math, 1);
    // Rounded queries; reading the newest in the upper plane alone changes six times as much.
    const Tolerance tolerance{0.01, 0.0015};
    ExpectMatch(Attend(*cpu_, draft(fast, Planes::kBoth), math, 1), expected, tolerance,
                NameOf(math));
    EXPECT_FALSE(Matches(Attend(*cpu_, draft(fast, Planes::kUpper), math, 1), expected, tolerance));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Runs, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
