// What an engine and its sequences take, before anything is taken.
#pragma once

#include "engine/engine_core.h"
#include "engine/sequence.h"
#include "formats/model_config.h"
#include "quantspec/engine.h"

namespace quantspec {

// Throws Error{kUsage} for draft options that are out of range or do not go with such a cache or
// such weights.
void CheckDraftOf(const DraftOptions& draft, CacheKind cache, WeightMode weights);

// A sequence of `context` tokens of a model with these weights. Throws as CheckDraftOf does.
SequenceSpec MakeSequenceSpec(const ModelConfig& config, WeightMode weights,
                              const SessionOptions& options, int context);

// The engine's part, without weights. `pool` and `chunk_rows` are taken by hierarchical caches
// alone, and so are the buffers of a prompt store on disk, which are counted as scratch.
struct CoreBytes {
  uint64_t pool = 0;
  uint64_t chunk_rows = 0;  // of layers with a window, of stored chunks
  uint64_t scratch = 0;
};
CoreBytes BytesOfCore(const ModelConfig& config, const CoreLimits& limits, CacheKind cache,
                      const Backend& backend, bool has_disk_store = false);
// One sequence's part without the rings of its windows, the decoding loop's buffers included.
uint64_t BytesOfSequence(const ModelConfig& config, const SequenceSpec& spec,
                         const Backend& backend);

// `capacity` with its defaults filled in for a first session of `context` tokens of this kind.
// Throws Error{kUsage} for values out of range.
CoreLimits LimitsOf(const EngineCapacity& capacity, int context);

}  // namespace quantspec
