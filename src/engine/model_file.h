// ModelFile over a mapped GGUF file or a known shape with random weights.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "kernels/backend.h"
#include "model/transformer.h"
#include "model/weights.h"
#include "quantspec/engine.h"

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

  const ModelInfo& info() const override { return config_.info; }
  std::vector<TensorInfo> Tensors() const override;
  std::vector<std::pair<std::string, std::string>> Metadata() const override;
  int draft_exact_layers() const override {
    return MakeWeightOptions(options_, config_.info.layers).draft_exact_layers;
  }
  MemoryPlan Plan(const SessionOptions& options) const override;
  const Tokenizer& tokenizer() const override;
  const ChatFormat* chat() const override;

  const TensorSource& source() const { return *source_; }
  const ModelConfig& config() const { return config_; }
  const EngineOptions& options() const { return options_; }
  // What Load and Open take for a context. `backend` gives the sizes.
  MemoryBytes BytesFor(int context, const SessionOptions& options, const Backend& backend) const;
  uint64_t BytesForWeights() const { return plan_->bytes(); }
  // The context asked for, checked against the model's. Throws Error{kUsage}.
  int ContextOf(const SessionOptions& options) const;

 private:
  EngineOptions options_;
  MappedFile mapped_;
  std::optional<Gguf> gguf_;  // absent for random weights
  std::unique_ptr<TensorSource> source_;
  ModelConfig config_;
  std::unique_ptr<WeightPlan> plan_;
  ThreadPool sizing_pool_;  // as many threads as the engine will have: scratch memory depends on it
  std::unique_ptr<Backend> sizing_;  // answers questions about sizes, computes nothing
  mutable std::once_flag tokenizer_once_, chat_once_;
  mutable std::unique_ptr<Tokenizer> tokenizer_;
  mutable std::unique_ptr<ChatFormat> chat_;
};

// Throws Error{kUsage} for a draft_context out of range.
KvCacheSpec MakeCacheSpec(const ModelConfig& config, WeightMode weights,
                          const SessionOptions& options, int context);
TransformerLimits MakeLimits(int context);

}  // namespace quantspec
