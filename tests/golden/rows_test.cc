// The rows that drafts keep of the target's cache, against an independent implementation
// (make_rows.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "cache/draft_policy.h"
#include "cache/kv_cache.h"
#include "exactness/models.h"
#include "formats/load_model.h"
#include "model/transformer.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

DraftOptions DraftOf(const Json& entry) {
  DraftOptions draft;
  draft.kind = entry["draft"] == "snapkv"   ? DraftKind::kSnapKv
               : entry["draft"] == "pillar" ? DraftKind::kPillar
                                            : DraftKind::kStreaming;
  draft.budget_tokens = entry["budget"];
  draft.snapkv_scaled = entry["scaled"];
  draft.snapkv_pool = entry["pool"] == "max7" ? SnapKvPool::kMax7 : SnapKvPool::kMean5;
  return draft;
}

// A model with float weights, with a prompt read into a full cache of floats or a hierarchical one.
class Reading {
 public:
  explicit Reading(const Json& entry)
      : threads_(2),
        source_(
            LoadModel(std::string(QS_GOLDEN_DIR) + "/models/" + entry["model"].get<std::string>())),
        rows_(source_.config.info.hidden, *MakeCpuBackend(threads_)) {
    const ModelInfo& info = source_.config.info;
    const int tokens = entry["tokens"];
    WeightOptions options;
    options.mode = WeightMode::kFloat;
    model_ = std::make_unique<Model>(source_, options, *MakeCpuBackend(threads_), threads_,
                                     std::function<bool(double)>{});
    transformer_ = std::make_unique<Transformer>(
        *model_, MakeCpuBackend(threads_),
        TransformerLimits{tokens + 1, tokens + 1 + kKvGroup, 1, static_cast<int>(kStepRows)});
    DraftPolicySpec drafts;
    drafts.geometry = {info.kv_heads, info.head_dim};
    const bool is_full = entry["cache"] == "full";
    drafts.dense_type = is_full ? KvType::kF32 : KvType::kF16;
    drafts.q_heads = info.q_heads;
    drafts.layers = info.layers;
    drafts.context = tokens + 1;
    drafts.is_sealed = !is_full;
    drafts.draft = DraftOf(entry);
    policy_ = MakeDraftPolicy(drafts, transformer_->backend());
    KvCacheSpec spec;
    spec.kind = is_full ? CacheKind::kFull : CacheKind::kHierarchical;
    spec.dense_type = drafts.dense_type;
    spec.geometry = drafts.geometry;
    spec.layers = info.layers;
    spec.context = tokens + 1;
    pool_ = std::make_unique<GroupPool>(
        GroupPoolSpec{drafts.geometry, info.layers, std::max(SlotsOf(spec), 1)},
        transformer_->backend());
    cache_ = MakeKvCache(spec, transformer_->backend(), {pool_.get(), nullptr, nullptr});
    Read(testing::TinyText(tokens));
  }

  // What a draft's step would read of a layer after the prompt.
  KvView Draft(int layer) {
    cache_->Extend(1);
    const auto view = [&](int index) { return cache_->View(index); };
    policy_->BeginStep(transformer_->backend(), {Reader::kDraft, cache_->Committed(), 1,
                                                 cache_->Committed(), view, StepPart::kDecode});
    const KvView draft = policy_->View(layer, cache_->View(layer));
    cache_->Truncate(cache_->Committed());
    return draft;
  }
  KvView Target(int layer) const { return cache_->View(layer); }
  int layers() const { return source_.config.info.layers; }
  KvGeometry geometry() const { return cache_->spec().geometry; }
  // Keys and values of a token of the target's view.
  std::vector<float> TargetRow(const KvView& target, int position, int head) {
    if (target.Groups() == 0) return Row(target.dense[0], position, head);
    Backend& backend = transformer_->backend();
    const size_t bytes = backend.DenseBytes(geometry(), KvType::kF16, kKvGroup);
    const DeviceMemory memory = backend.Allocate(2 * bytes);
    DenseSegment group;
    group.keys = memory.data();
    group.values = memory.data() + bytes;
    group.capacity = group.rows = kKvGroup;
    backend.UnsealKv(geometry(), target.sealed, target.runs[0].slots[position / kKvGroup], group,
                     0);
    return Row(group, position % kKvGroup, head);
  }
  // Keys and values of one head.
  std::vector<float> Row(const DenseSegment& segment, int64_t row, int head) const {
    const auto width = static_cast<size_t>(geometry().kv_heads * geometry().head_dim);
    std::vector<float> k(width), v(width), both;
    transformer_->backend().LoadKv(geometry(), segment, row, k.data(), v.data());
    const auto first = static_cast<std::ptrdiff_t>(head) * geometry().head_dim;
    both.assign(k.begin() + first, k.begin() + first + geometry().head_dim);
    both.insert(both.end(), v.begin() + first, v.begin() + first + geometry().head_dim);
    return both;
  }

 private:
  void Read(const std::vector<Token>& prompt) {
    for (std::span<const Token> rest = prompt; !rest.empty();) {
      const auto count = std::min(rest.size(), static_cast<size_t>(cache_->PromptRoom()));
      transformer_->StartPrompt({cache_.get(), policy_.get(), rest.first(count)},
                                count == rest.size(), rows_);
      while (!transformer_->AdvancePrompt(100, rows_)) {
      }
      cache_->Commit(transformer_->backend(), RowKind::kPrompt);
      transformer_->EndPrompt(rows_);
      rest = rest.subspan(count);
    }
  }

  ThreadPool threads_;
  LoadedModel source_;
  PromptRows rows_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<DraftPolicy> policy_;
  std::unique_ptr<GroupPool> pool_;
  std::unique_ptr<KvCache> cache_;
};

TEST(Rows, AreThoseOfAnIndependentImplementation) {
  std::ifstream file(std::string(QS_GOLDEN_DIR) + "/rows.json");
  const Json cases = Json::parse(file);
  ASSERT_EQ(cases.size(), 24u);
  for (const Json& entry : cases) {
    Reading reading(entry);
    for (int layer = 0; layer < reading.layers(); ++layer) {
      const KvView draft = reading.Draft(layer), target = reading.Target(layer);
      const auto direct = entry["direct"].get<int64_t>();
      ASSERT_EQ(draft.dense_count, target.dense_count + 1) << entry["draft"];
      if (entry["cache"] == "full") {
        EXPECT_EQ(draft.dense[1].first_position, direct);
        EXPECT_EQ(draft.dense[1].first_row, direct);
      } else {
        EXPECT_EQ(draft.Groups(), target.Groups() - direct / kKvGroup);
        EXPECT_EQ(draft.dense[1].first_position, target.Groups() * kKvGroup);
        EXPECT_EQ(draft.runs[0].planes, Planes::kBoth);
      }
      for (int head = 0; head < reading.geometry().kv_heads; ++head) {
        const auto expected = entry["rows"][static_cast<size_t>(layer)][static_cast<size_t>(head)]
                                  .get<std::vector<int>>();
        ASSERT_EQ(draft.dense[0].rows, static_cast<int64_t>(expected.size()));
        std::set<std::vector<float>> kept;
        for (size_t i = 0; i < expected.size(); ++i) {
          kept.insert(reading.Row(draft.dense[0], static_cast<int64_t>(i), head));
        }
        int missing = 0;
        for (const int row : expected) {
          missing += kept.count(reading.TargetRow(target, row, head)) == 0 ? 1 : 0;
        }
        // Codes that fall on the other side of a rounding boundary change masses a little.
        const int most = entry["cache"] == "full" ? 0 : static_cast<int>(expected.size()) * 3 / 100;
        EXPECT_LE(missing, most) << entry["model"] << " " << entry["cache"] << " " << entry["draft"]
                                 << " " << entry["scaled"] << " " << entry["pool"] << ", layer "
                                 << layer << ", head " << head;
      }
    }
  }
}

}  // namespace
}  // namespace quantspec
