#include "bench/axis_quality.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/check.h"
#include "engine/engine_impl.h"
#include "model/transformer.h"

namespace quantspec {
namespace {

// Scores windows with one cache after the other.
class AxisScorer {
 public:
  AxisScorer(const EngineImpl& engine, const PerplexityText& text)
      : text_(text),
        transformer_(engine.model(), MakeBackend(engine.options().backend, engine.thread_pool()),
                     {text.window, text.window + kKvGroup, 1, static_cast<int>(kStepRows)}) {
    const ModelInfo& info = engine.model().config().info;
    spec_.kind = CacheKind::kFull;
    spec_.dense_type = KvType::kF32;
    spec_.geometry = {info.kv_heads, info.head_dim};
    spec_.layers = info.layers;
    spec_.context = text.window;
    DraftPolicySpec drafts;  // not used: the target alone is scored
    drafts.draft.kind = DraftKind::kNgram;
    policy_ = MakeDraftPolicy(drafts, transformer_.backend());
  }

  std::unique_ptr<FullCache> FloatCache() {
    return std::make_unique<FullCache>(spec_, transformer_.backend());
  }
  std::unique_ptr<RoundedCache> Rounded(const QuantAxes& axes) {
    return std::make_unique<RoundedCache>(spec_, axes, transformer_.backend());
  }

  // Returns how many targets a rounded cache predicts from rounded groups, too; none if `on_share`
  // ended it.
  template <typename OnShare>
  std::optional<int64_t> Score(KvCache& cache, MeanSum& sum, const OnShare& on_share) {
    int64_t after_rounding = 0;
    for (int index = 0; index < text_.windows(); ++index) {
      const auto size = static_cast<size_t>(text_.window);
      const auto own =
          std::span<const Token>(text_.tokens).subspan(size * static_cast<size_t>(index), size);
      std::vector<Token> tokens(own.begin(), own.end());
      if (text_.first >= 0) tokens[0] = text_.first;
      cache.Rewind(0);
      for (int row = 0; row < text_.window - 1;) {
        const int count = std::min(static_cast<int>(kStepRows) - 1, text_.window - 1 - row);
        const StepRows rows{&cache, policy_.get(),
                            std::span<const Token>(tokens).subspan(static_cast<size_t>(row),
                                                                   static_cast<size_t>(count)),
                            Reader::kTarget};
        const LogitRows logits = transformer_.Step(Reader::kTarget, {&rows, 1});
        for (int i = 0; i < count; ++i) {
          if (row + i < text_.scored_from()) continue;
          const Distribution scored({logits.Row(i), static_cast<size_t>(logits.columns)});
          sum.Add(
              -scored.LogProbability(static_cast<size_t>(own[static_cast<size_t>(row + i) + 1])));
          after_rounding += row >= 2 * kKvGroup ? 1 : 0;
        }
        cache.Commit(transformer_.backend(), RowKind::kDecode);
        row += count;
        if (!on_share((index + static_cast<double>(row) / text_.window) / text_.windows())) {
          return std::nullopt;
        }
      }
    }
    return after_rounding;
  }

 private:
  const PerplexityText& text_;
  Transformer transformer_;
  KvCacheSpec spec_;
  std::unique_ptr<DraftPolicy> policy_;
};

}  // namespace

AxisScores ScoreAxes(const Engine& engine, const PerplexityText& text,
                     std::span<const QuantAxes> axes, const OnScored& on_scored) {
  const auto* implementation = dynamic_cast<const EngineImpl*>(&engine);
  QS_CHECK(implementation != nullptr);
  AxisScorer scorer(*implementation, text);
  AxisScores scores;
  const double caches = static_cast<double>(axes.size()) + 1;
  double done = 0;
  const auto on_share = [&](double share) {
    return !on_scored || on_scored((done + share) / caches);
  };
  if (!scorer.Score(*scorer.FloatCache(), scores.floats, on_share)) return scores;
  for (const QuantAxes& one : axes) {
    ++done;
    const auto rounded_targets =
        scorer.Score(*scorer.Rounded(one), scores.rounded.emplace_back(), on_share);
    if (!rounded_targets) return scores;
    scores.rounded_targets = *rounded_targets;
  }
  return scores;
}

}  // namespace quantspec
