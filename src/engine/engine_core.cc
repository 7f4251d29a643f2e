#include "engine/engine_core.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace quantspec {
namespace {

// Rows that all sequences of a step have together, at most: beyond it arithmetic, not memory, is
// what a step waits for.
constexpr int kMostStepRows = 64;

}  // namespace

GroupPoolSpec CoreLimits::Pool(const ModelConfig& config) const {
  GroupPoolSpec spec;
  spec.geometry = {config.info.kv_heads, config.info.head_dim};
  spec.layers = config.info.layers - Chunks(config).layers;
  spec.slots = tokens / kKvGroup;
  return spec;
}

ChunkRowsSpec CoreLimits::Chunks(const ModelConfig& config) const {
  const std::vector<int> windows = config.Windows();
  ChunkRowsSpec spec;
  spec.geometry = {config.info.kv_heads, config.info.head_dim};
  if (windows.empty()) return spec;
  spec.layers = static_cast<int>(std::ranges::count_if(windows, [](int w) { return w > 0; }));
  const int64_t of_window = CeilDiv(std::ranges::max(windows), kChunkTokens) + 1;
  spec.blocks = static_cast<int>(std::min<int64_t>(tokens / kChunkTokens, sequences * of_window));
  return spec;
}

TransformerLimits CoreLimits::Steps(const ModelConfig& config) const {
  TransformerLimits steps;
  steps.context = std::min(tokens, config.info.context);
  // Contexts are rounded down to whole groups when slots are reserved, so that together they may
  // exceed `tokens`.
  steps.positions = tokens + sequences * kKvGroup;
  steps.sequences = sequences;
  steps.rope_context = context;
  const int rows = static_cast<int>(kStepRows);
  steps.step_rows = std::max(rows, std::min(rows * sequences, kMostStepRows));
  return steps;
}

EngineCore::EngineCore(const Model& model, std::unique_ptr<Backend> backend,
                       const CoreLimits& limits, DiskStoreSpec disk)
    : limits_(limits),
      disk_(std::move(disk)),
      transformer_(model, std::move(backend), limits.Steps(model.config())) {}

PoolAccess EngineCore::Pool() {
  if (pool_ == nullptr) {
    auto pool = std::make_unique<GroupPool>(limits_.Pool(model().config()), backend());
    const ChunkRowsSpec chunks = limits_.Chunks(model().config());
    if (chunks.layers > 0) chunk_rows_ = std::make_unique<ChunkRows>(chunks, backend());
    auto store = std::make_unique<PromptStore>(*pool, chunk_rows_.get());
    if (!disk_.folder.empty()) store->UseDisk(disk_, backend());
    pool_ = std::move(pool);
    store_ = std::move(store);
  }
  const auto make_free = [](void* store) { return static_cast<PromptStore*>(store)->EvictOne(); };
  return {pool_.get(), make_free, store_.get()};
}

}  // namespace quantspec
