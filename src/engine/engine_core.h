// What all sequences of an engine share: the forward pass with its scratch memory, the group pool
// and the prompt store, and the lock under which they are used.
#pragma once

#include <memory>

#include "cache/chunk_rows.h"
#include "cache/group_pool.h"
#include "cache/kv_cache.h"
#include "engine/prompt_store.h"
#include "engine/turn_lock.h"
#include "model/transformer.h"

namespace quantspec {

// The sizes that an engine is made for.
struct CoreLimits {
  int tokens = 0;     // that the caches of all sequences hold together
  int sequences = 1;  // the most in one forward pass
  int context = 0;    // of one sequence, as ModelConfig::ReadsLongRope means it

  GroupPoolSpec Pool(const ModelConfig& config) const;
  // Rows of stored chunks: as many as the windows of all sequences.
  ChunkRowsSpec Chunks(const ModelConfig& config) const;
  TransformerLimits Steps(const ModelConfig& config) const;
};

// Members other than `turns` are used under a Turn.
class EngineCore {
 public:
  // `disk`: where the prompt store's files are; without a folder it has none. Throws
  // Error{kMemory}.
  EngineCore(const Model& model, std::unique_ptr<Backend> backend, const CoreLimits& limits,
             DiskStoreSpec disk = {});

  TurnLock& turns() { return turns_; }
  const CoreLimits& limits() const { return limits_; }
  Transformer& transformer() { return transformer_; }
  Backend& backend() { return transformer_.backend(); }
  const Model& model() const { return transformer_.model(); }
  // The pool, taken at the first call, with the prompt store. Throws Error: kMemory, and as
  // DiskStore does.
  PoolAccess Pool();
  bool has_pool() const { return pool_ != nullptr; }
  // Null before the pool is taken.
  PromptStore* store() { return store_.get(); }

 private:
  TurnLock turns_;
  CoreLimits limits_;
  DiskStoreSpec disk_;
  Transformer transformer_;
  std::unique_ptr<GroupPool> pool_;
  std::unique_ptr<ChunkRows> chunk_rows_;  // null: no layer has a window
  std::unique_ptr<PromptStore> store_;     // destroyed before the pool and the rows
};

}  // namespace quantspec
