// The engine: weights, and the core that its sequences share, made when the first one is opened.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/thread_pool.h"
#include "decode/decoding.h"
#include "engine/engine_core.h"
#include "engine/memory_plan.h"
#include "engine/model_file.h"
#include "engine/sequence.h"
#include "model/weights.h"
#include "quantspec/engine.h"

namespace quantspec {

class EngineImpl : public Engine, public std::enable_shared_from_this<EngineImpl> {
 public:
  EngineImpl(std::shared_ptr<const ModelFileImpl> file, const EngineCapacity& capacity,
             const Progress& progress);

  const ModelFile& file() const override { return *file_; }
  const EngineOptions& options() const override { return file_->options(); }
  MemoryPlan Plan(const SessionOptions& options) const override;
  std::unique_ptr<Session> Open(const SessionOptions& options) const override;
  std::string_view isa() const override { return isa_; }
  int threads() const override { return threads_.threads(); }
  PromptStoreCounters prompt_store() const override;

  const Model& model() const { return *model_; }
  ThreadPool& thread_pool() const { return threads_; }
  // What all sequences share, with the pool if `session` needs it. Made when first needed, for
  // sessions such as that one. Throws Error{kMemory}, saying which context would fit.
  EngineCore& Core(const SessionOptions& session) const;
  // Throws Error{kUsage} for options out of range.
  SequenceSpec SequenceOf(const SessionOptions& options) const;
  // Ids below it are tokens.
  int tokens() const { return file_->config().tokens; }
  IsEnd IsEndToken() const;

 private:
  // What the core takes, once it is there.
  CoreBytes CoreBytesOf(CacheKind cache) const;
  DiskStoreSpec Disk(int context) const;
  // What a session takes beside what is taken already. The caller has mutex_.
  uint64_t BytesBeside(const SessionOptions& session) const;
  // What to say where a session with `options` does not fit.
  std::string AdviseContext(const SessionOptions& options) const;

  std::shared_ptr<const ModelFileImpl> file_;
  EngineCapacity capacity_;
  mutable ThreadPool threads_;  // admits one caller at a time
  std::string isa_;
  std::unique_ptr<Model> model_;
  mutable std::mutex mutex_;  // of core_ while it is made
  mutable std::unique_ptr<EngineCore> core_;
};

}  // namespace quantspec
