#include "engine/memory_plan.h"

#include <algorithm>
#include <string>

#include "decode/decoding.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int kMostSequences = 1024;
constexpr int64_t kMostTokens = int64_t{1} << 30;

}  // namespace

void CheckDraftOf(const DraftOptions& draft, CacheKind cache, WeightMode weights) {
  CheckDraft(draft, cache);
  if (weights == WeightMode::kFloat && draft.weights == DraftPart::kInt4) {
    throw Error(ErrorKind::kUsage,
                "draft weights: found int4 with float weights, which have no 4-bit copy; use other "
                "weights or the draft weights target");
  }
}

SequenceSpec MakeSequenceSpec(const ModelConfig& config, WeightMode weights,
                              const SessionOptions& options, int context) {
  CheckDraftOf(options.draft, options.cache, weights);
  SequenceSpec spec;
  spec.draft = options.draft;
  spec.q_heads = config.info.q_heads;
  for (int layer = 0; layer < config.info.layers; ++layer) {
    if (config.WindowOf(layer) > 0) continue;
    spec.score_scale = config.layer(layer).ScoreScale();
    spec.softcap = config.layer(layer).attention_softcap;
  }
  spec.reuse = options.reuse;
  spec.salt = options.salt;
  spec.cache.kind = options.cache;
  const bool is_reference = weights == WeightMode::kFloat && options.cache == CacheKind::kFull;
  spec.cache.dense_type = is_reference ? KvType::kF32 : KvType::kF16;
  spec.cache.geometry = {config.info.kv_heads, config.info.head_dim};
  spec.cache.layers = config.info.layers;
  spec.cache.windows = config.Windows();
  spec.cache.context = context;
  return spec;
}

CoreBytes BytesOfCore(const ModelConfig& config, const CoreLimits& limits, CacheKind cache,
                      const Backend& backend, bool has_disk_store) {
  CoreBytes bytes;
  bytes.scratch = Transformer::ScratchBytes(config, backend, limits.Steps(config));
  if (cache == CacheKind::kHierarchical) {
    const GroupPoolSpec pool = limits.Pool(config);
    bytes.pool = GroupPool::Bytes(pool, backend);
    bytes.chunk_rows = ChunkRows::Bytes(limits.Chunks(config), backend);
    if (has_disk_store) {
      GroupPoolSpec chunk = pool;
      chunk.slots = PromptStore::kChunkSlots;
      bytes.scratch += DiskStore::Bytes(kChunkHeaderBytes + GroupPool::Bytes(chunk, backend));
    }
  }
  return bytes;
}

uint64_t BytesOfSequence(const ModelConfig& config, const SequenceSpec& spec,
                         const Backend& backend) {
  return Sequence::Bytes(spec, config, backend) - WindowRings::Bytes(spec.cache, backend) +
         Decoding::Bytes(config.tokens);
}

CoreLimits LimitsOf(const EngineCapacity& capacity, int context) {
  if (capacity.cache_tokens < 0 || capacity.cache_tokens > kMostTokens) {
    throw Error(ErrorKind::kUsage, "cache_tokens: found " + std::to_string(capacity.cache_tokens) +
                                       ", expected 0 (automatic) to " +
                                       std::to_string(kMostTokens));
  }
  if (capacity.sequences < 1 || capacity.sequences > kMostSequences) {
    throw Error(ErrorKind::kUsage, "sequences: found " + std::to_string(capacity.sequences) +
                                       ", expected 1 to " + std::to_string(kMostSequences));
  }
  CoreLimits limits;
  limits.sequences = capacity.sequences;
  limits.context = context;
  const int64_t tokens = int64_t{context} * capacity.sequences;
  limits.tokens = capacity.cache_tokens > 0
                      ? capacity.cache_tokens
                      : static_cast<int>(std::min<int64_t>(tokens, kMostTokens));
  return limits;
}

}  // namespace quantspec
