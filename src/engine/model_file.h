// ModelFile over any source of a model.
#pragma once

#include <memory>
#include <mutex>

#include "base/thread_pool.h"
#include "formats/loaded_model.h"
#include "kernels/backend.h"
#include "model/weights.h"
#include "quantspec/engine.h"
#include "text/tokenizer.h"

namespace quantspec {

// A backend of `kind` over `pool`.
std::unique_ptr<Backend> MakeBackend(BackendKind kind, ThreadPool& pool);
// Options as the module `model` wants them for a model of `layers` layers; defaults filled in.
// Throws Error{kUsage} if one is out of range.
WeightOptions MakeWeightOptions(const EngineOptions& options, int layers);

inline constexpr int kMaxThreads = 1024;
// Threads that an engine with these options uses. Throws Error{kUsage} if out of range.
int ThreadsOf(const EngineOptions& options);

class ModelFileImpl : public ModelFile {
 public:
  explicit ModelFileImpl(const EngineOptions& options);

  const ModelInfo& info() const override { return config().info; }
  std::vector<TensorInfo> Tensors() const override;
  std::vector<std::pair<std::string, std::string>> Metadata() const override {
    return source_.metadata;
  }
  const std::vector<std::string>& warnings() const override { return source_.warnings; }
  const SamplingAdvice& sampling_advice() const override { return source_.sampling; }
  int draft_exact_layers() const override {
    return MakeWeightOptions(options_, info().layers).draft_exact_layers;
  }
  MemoryPlan Plan(const SessionOptions& options, const EngineCapacity& capacity) const override;
  const NamingTokenizer& tokenizer() const override;
  const ChatTemplate* chat() const override;

  const EngineOptions& options() const { return options_; }
  const LoadedModel& source() const { return source_; }
  const ModelConfig& config() const { return source_.config; }
  // What Load takes for this capacity and Open for each of its sequences, of `context` tokens.
  MemoryBytes BytesFor(int context, const SessionOptions& options,
                       const EngineCapacity& capacity) const;
  // The largest context for which everything but the weights takes `bytes` at most; 0: none.
  int LargestContext(const SessionOptions& options, const EngineCapacity& capacity,
                     uint64_t bytes) const;
  uint64_t BytesForWeights() const { return plan_->bytes(); }
  // A backend that answers questions about sizes.
  const Backend& sizing() const { return *sizing_; }
  // True if the prompt store has files, too: they hold no rows of layers with a window.
  bool HasDiskStore() const { return !options_.prompt_store.empty() && config().Windows().empty(); }
  // The context asked for, checked against the model's. Throws Error{kUsage}.
  int ContextOf(const SessionOptions& options) const;

 private:
  EngineOptions options_;
  LoadedModel source_;
  std::unique_ptr<WeightPlan> plan_;
  ThreadPool sizing_pool_;  // as many threads as the engine will have: scratch memory depends on it
  std::unique_ptr<Backend> sizing_;  // answers questions about sizes, computes nothing
  mutable std::once_flag tokenizer_once_, chat_once_;
  mutable std::unique_ptr<NamingTokenizer> tokenizer_;
  mutable std::unique_ptr<ChatTemplate> chat_;
};

}  // namespace quantspec
