// Both policies against a plain list of rows, over the reference backend.
#include "cache/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "cache/hierarchical_cache.h"

namespace quantspec {
namespace {

constexpr KvGeometry kGeometry{2, 64};
constexpr int kWidth = 128;
constexpr int kLayers = 2;

KvCacheSpec SpecOf(CacheKind kind, int context, int draft_context = kDraftContextAuto) {
  KvCacheSpec spec;
  spec.kind = kind;
  spec.geometry = kGeometry;
  spec.layers = kLayers;
  spec.context = context;
  spec.draft_context = draft_context;
  return spec;
}

// The value of channel `c` of `position`: distinct, exact in f16.
float ValueAt(int layer, int position, int channel, bool is_value) {
  return static_cast<float>((position * 7 + channel * 3 + layer * 11 + (is_value ? 5 : 0)) % 512) /
         8.0f;
}

class CacheUser {
 public:
  CacheUser(CacheKind kind, int context, int draft_context = kDraftContextAuto)
      : backend_(MakeReferenceBackend()),
        cache_(MakeKvCache(SpecOf(kind, context, draft_context), *backend_)) {
    ScratchLimits limits;
    limits.rows = 64;
    limits.inputs = 256;
    limits.positions = context;
    limits.geometry = kGeometry;
    limits.q_heads = 2;
    backend_->Reserve(limits);
  }

  // Appends tokens as a step does; `garbage` writes what a draft would.
  void Append(int tokens, bool garbage = false) {
    const int position = cache_->Length();
    cache_->Extend(tokens);
    for (int layer = 0; layer < kLayers; ++layer) {
      Fill(layer, position, tokens, garbage);
      AttendLayer(layer, garbage ? Reader::kDraft : Reader::kTarget, k_view(tokens),
                  v_view(tokens));
    }
  }
  void Prefill(int tokens) {
    for (int layer = 0; layer < kLayers; ++layer) {
      DenseSegment prompt = cache_->PromptSegment(layer, tokens);
      Fill(layer, 0, tokens, false);
      backend_->StoreKv(k_view(tokens), v_view(tokens), kGeometry, prompt, 0);
      cache_->TakePrompt(*backend_, layer, tokens);
    }
    cache_->EndPrompt(tokens);
  }
  // Every live position stands in the view, in order, dense rows with their exact values.
  void ExpectContents() {
    for (int layer = 0; layer < kLayers; ++layer) {
      const KvView view = cache_->View(layer, Reader::kTarget);
      int64_t next = view.sealed.groups * kKvGroup;
      for (int s = 0; s < view.dense_count; ++s) {
        const DenseSegment& segment = view.dense[s];
        ASSERT_EQ(segment.first_position, next);
        for (int64_t row = 0; row < segment.rows; ++row) ExpectRow(layer, segment, row);
        next += segment.rows;
      }
      ASSERT_EQ(next, cache_->Length());
    }
  }
  // Attends over every layer from the newest token; returns what the last layer's groups weigh.
  std::vector<float> Attend(Reader reader) {
    std::vector<float> weights;
    for (int layer = 0; layer < kLayers; ++layer) {
      const KvView view = AttendLayer(layer, reader, {}, {});
      const float* left = view.group_weights;
      if (left != nullptr) weights.assign(left, left + 2 * view.sealed.groups);
    }
    return weights;
  }
  uint64_t DigestValue() const {
    Digest digest;
    cache_->AddTo(digest, *backend_);
    return digest.value();
  }
  KvCache& cache() { return *cache_; }
  Backend& backend() { return *backend_; }

 private:
  ConstRows k_view(int rows) const { return {k_.data(), rows, kWidth}; }
  ConstRows v_view(int rows) const { return {v_.data(), rows, kWidth}; }
  // From the newest tokens, one or as many as have own keys and values.
  KvView AttendLayer(int layer, Reader reader, ConstRows k, ConstRows v) {
    const int64_t tokens = std::max<int64_t>(k.rows, 1);
    const std::vector<float> q(static_cast<size_t>(tokens * kWidth), 0.01f);
    std::vector<float> out(q.size());
    AttendArgs args;
    args.q = ConstRows(q.data(), tokens, kWidth);
    args.k = k;
    args.v = v;
    args.kv = cache_->View(layer, reader);
    args.first_position = cache_->Length() - tokens;
    args.q_heads = 2;
    args.out = Rows(out.data(), tokens, kWidth);
    backend_->Attend(args);
    return args.kv;
  }
  void Fill(int layer, int position, int rows, bool garbage) {
    k_.resize(static_cast<size_t>(rows) * kWidth);
    v_.resize(k_.size());
    for (int row = 0; row < rows; ++row) {
      for (int c = 0; c < kWidth; ++c) {
        const auto at = static_cast<size_t>(row * kWidth + c);
        k_[at] = garbage ? 999.0f : ValueAt(layer, position + row, c, false);
        v_[at] = garbage ? -999.0f : ValueAt(layer, position + row, c, true);
      }
    }
  }
  void ExpectRow(int layer, const DenseSegment& segment, int64_t row) {
    std::vector<float> k(kWidth), v(kWidth);
    backend_->LoadKv(kGeometry, segment, row, k.data(), v.data());
    const int position = static_cast<int>(segment.first_position + row);
    for (int c = 0; c < kWidth; ++c) {
      ASSERT_EQ(k[static_cast<size_t>(c)], ValueAt(layer, position, c, false));
      ASSERT_EQ(v[static_cast<size_t>(c)], ValueAt(layer, position, c, true));
    }
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvCache> cache_;
  std::vector<float> k_, v_;
};

TEST(KvCache, BytesAreExactlyWhatThePlanSays) {
  const auto backend = MakeReferenceBackend();
  for (const CacheKind kind : {CacheKind::kFull, CacheKind::kHierarchical}) {
    EXPECT_GT(KvCacheBytes(SpecOf(kind, 1000), *backend), 0u);
    EXPECT_LT(KvCacheBytes(SpecOf(kind, 1000), *backend),
              KvCacheBytes(SpecOf(kind, 2000), *backend));
  }
}

TEST(HierarchicalCache, RoundsWithDraftsLeaveWhatPlainAppendsLeave) {
  std::mt19937 random(7);
  CacheUser plain(CacheKind::kHierarchical, 1200), rounds(CacheKind::kHierarchical, 1200);
  plain.Prefill(300);
  rounds.Prefill(300);
  while (rounds.cache().Length() < 1150) {
    KvCache& cache = rounds.cache();
    const int start = cache.Length();
    const int step = std::min<int>(cache.Room(), 1 + static_cast<int>(random() % 17));
    for (int i = 1; i < step; ++i) rounds.Append(1, true);
    cache.Truncate(start);
    rounds.Append(step);
    cache.Truncate(start + 1 + static_cast<int>(random() % static_cast<unsigned>(step)));
    cache.Commit(rounds.backend());
    while (plain.cache().Length() < cache.Length()) {
      plain.Append(1);
      plain.cache().Commit(plain.backend());
    }
    ASSERT_EQ(plain.DigestValue(), rounds.DigestValue()) << cache.Length();
  }
  rounds.ExpectContents();
  EXPECT_EQ(static_cast<HierarchicalCache&>(rounds.cache()).groups(), 1150 / kKvGroup - 1);
}

TEST(HierarchicalCache, PrefillSealsWhatStepsWouldHaveSealed) {
  for (const int tokens : {1, 127, 128, 129, 255, 256, 257, 384, 700}) {
    CacheUser steps(CacheKind::kHierarchical, 1024), prefill(CacheKind::kHierarchical, 1024);
    prefill.Prefill(tokens);
    while (steps.cache().Length() < tokens) {
      steps.Append(std::min(steps.cache().Room(), tokens - steps.cache().Length()));
      steps.cache().Commit(steps.backend());
    }
    EXPECT_EQ(steps.DigestValue(), prefill.DigestValue()) << tokens;
    prefill.ExpectContents();
  }
}

TEST(HierarchicalCache, KeepsTheNewestGroupDenseAndEndsRoundsAtTheBoundary) {
  CacheUser user(CacheKind::kHierarchical, 2000);
  EXPECT_EQ(user.cache().Room(), 2 * kKvGroup);
  user.Prefill(5 * kKvGroup + 3);
  EXPECT_EQ(user.cache().Room(), kKvGroup - 3);
  user.Append(kKvGroup - 3);
  EXPECT_EQ(user.cache().Room(), 0);
  user.cache().Commit(user.backend());
  EXPECT_EQ(user.cache().Room(), kKvGroup);
  const KvView view = user.cache().View(0, Reader::kDraft);
  EXPECT_EQ(view.sealed.groups, 5);
  EXPECT_EQ(view.dense[0].rows, kKvGroup);
  EXPECT_EQ(view.planes, Planes::kUpper);
}

TEST(HierarchicalCache, RoomEndsWithTheContext) {
  CacheUser user(CacheKind::kHierarchical, 300);
  user.Prefill(290);
  EXPECT_EQ(user.cache().Room(), 10);
  user.Append(10);
  user.cache().Commit(user.backend());
  EXPECT_EQ(user.cache().Room(), 0);
}

TEST(HierarchicalCache, ADraftReadsOnePlaneOfAQuarterOfTheGroups) {
  const auto share = [](int draft_context) {
    CacheUser user(CacheKind::kHierarchical, 9000, draft_context);
    user.Prefill(8192);
    const auto bytes = [&](Reader reader) {
      return static_cast<double>(user.cache().ReadBytes(user.backend(), reader));
    };
    return bytes(Reader::kDraft) / bytes(Reader::kTarget);
  };
  EXPECT_NEAR(share(kDraftContextAll), 0.55, 0.05);
  EXPECT_NEAR(share(kDraftContextAuto), 0.16, 0.03);
  EXPECT_NEAR(share(4096), 0.29, 0.03);
}

TEST(HierarchicalCache, DraftsReadWhatWeighedMostToTheTarget) {
  CacheUser user(CacheKind::kHierarchical, 2000, 3 * kKvGroup);
  user.Prefill(12 * kKvGroup);
  const auto view = [&] { return user.cache().View(kLayers - 1, Reader::kDraft); };
  EXPECT_EQ(view().chosen, nullptr) << "the target has not attended yet";
  const std::vector<float> weights = user.Attend(Reader::kTarget);
  ASSERT_EQ(weights.size(), 2u * 11);
  const KvView chosen = view();
  ASSERT_EQ(chosen.ReadGroups(), 3);
  for (size_t head = 0; head < 2; ++head) {
    std::vector<float> of_head(weights.begin() + 11 * head, weights.begin() + 11 * (head + 1));
    std::vector<float> taken;
    for (size_t i = 0; i < 3; ++i) {
      taken.push_back(of_head[static_cast<size_t>(chosen.chosen[3 * head + i])]);
    }
    std::sort(of_head.rbegin(), of_head.rend());
    std::sort(taken.rbegin(), taken.rend());
    of_head.resize(3);
    EXPECT_EQ(taken, of_head) << "head " << head;
  }
  EXPECT_TRUE(user.Attend(Reader::kDraft).empty()) << "a draft says nothing about what it skips";
}

TEST(HierarchicalCache, AGroupSealedAfterTheTargetAttendedIsReadByDrafts) {
  CacheUser user(CacheKind::kHierarchical, 2000, 2 * kKvGroup);
  user.Prefill(6 * kKvGroup + 127);
  user.Append(1);
  user.Attend(Reader::kTarget);
  user.cache().Commit(user.backend());
  const KvView view = user.cache().View(0, Reader::kDraft);
  ASSERT_EQ(view.sealed.groups, 6);
  ASSERT_NE(view.chosen, nullptr);
  EXPECT_EQ(view.chosen[1], 5);
  EXPECT_EQ(view.chosen[3], 5);
}

TEST(HierarchicalCache, ANewSequenceForgetsWhatWeighedMost) {
  CacheUser user(CacheKind::kHierarchical, 2000, kKvGroup);
  user.Prefill(6 * kKvGroup);
  user.Attend(Reader::kTarget);
  EXPECT_NE(user.cache().View(0, Reader::kDraft).chosen, nullptr);
  user.cache().Clear();
  user.Prefill(6 * kKvGroup);
  EXPECT_EQ(user.cache().View(0, Reader::kDraft).chosen, nullptr);
}

TEST(FullCache, TruncatesAndOverwrites) {
  CacheUser user(CacheKind::kFull, 500);
  user.Prefill(100);
  user.cache().Commit(user.backend());
  user.Append(5, true);
  user.cache().Truncate(100);
  user.Append(7);
  user.ExpectContents();
  EXPECT_EQ(user.cache().Room(), 500 - 107);
  user.cache().Clear();
  EXPECT_EQ(user.cache().Length(), 0);
}

TEST(KvCache, DigestSeesEveryLiveRowAndNoOther) {
  for (const CacheKind kind : {CacheKind::kFull, CacheKind::kHierarchical}) {
    CacheUser user(kind, 500);
    user.Prefill(100);
    const uint64_t before = user.DigestValue();
    user.Append(1, true);
    EXPECT_NE(user.DigestValue(), before);
    user.cache().Truncate(100);
    EXPECT_EQ(user.DigestValue(), before);
  }
}

}  // namespace
}  // namespace quantspec
