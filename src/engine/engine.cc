#include "quantspec/engine.h"

#include "base/buffer.h"
#include "engine/model_file.h"
#include "engine/session.h"

namespace quantspec {
namespace {

class EngineImpl : public Engine, public std::enable_shared_from_this<EngineImpl> {
 public:
  EngineImpl(std::shared_ptr<const ModelFileImpl> file, const EngineOptions& options,
             const Progress& progress)
      : file_(std::move(file)), options_(options), pool_(ThreadsOf(options)) {
    const std::unique_ptr<Backend> backend = MakeBackend(options.backend, pool_);
    isa_ = backend->isa();
    model_ = std::make_unique<Model>(file_->source(), file_->config(),
                                     MakeWeightOptions(options, file_->info().layers), *backend,
                                     pool_, progress);
  }

  const ModelFile& file() const override { return *file_; }
  const EngineOptions& options() const override { return options_; }
  std::string_view isa() const override { return isa_; }
  int threads() const override { return pool_.threads(); }

  std::unique_ptr<Session> Open(const SessionOptions& options) const override {
    const int context = file_->ContextOf(options);
    SessionParts parts;
    parts.engine = shared_from_this();
    parts.model = model_.get();
    parts.tokenizer = options_.random_shape.empty() ? &file_->tokenizer() : nullptr;
    parts.backend = MakeBackend(options_.backend, pool_);
    parts.bytes = file_->BytesFor(context, options, *parts.backend);
    const uint64_t available = AvailableMemoryBytes();
    if (parts.bytes.cache + parts.bytes.scratch > available) {
      throw Error(ErrorKind::kMemory, "a context of " + std::to_string(context) + " tokens needs " +
                                          std::to_string(parts.bytes.cache + parts.bytes.scratch) +
                                          " bytes beside the weights, but only " +
                                          std::to_string(available) +
                                          " are available; use a smaller context");
    }
    parts.cache = MakeCacheSpec(file_->config(), options_.weights, options, context);
    return MakeSession(std::move(parts));
  }

 private:
  std::shared_ptr<const ModelFileImpl> file_;
  EngineOptions options_;
  mutable ThreadPool pool_;  // its Run admits one caller at a time
  std::string isa_;
  std::unique_ptr<Model> model_;
};

}  // namespace

std::shared_ptr<const Engine> Engine::Load(std::shared_ptr<const ModelFile> file,
                                           const EngineOptions& options, const Progress& progress) {
  auto implementation = std::dynamic_pointer_cast<const ModelFileImpl>(std::move(file));
  QS_CHECK(implementation != nullptr);
  const uint64_t needed = implementation->BytesForWeights();
  const uint64_t available = AvailableMemoryBytes();
  if (needed > available) {
    throw Error(ErrorKind::kMemory, options.model_path + ": the weights need " +
                                        std::to_string(needed) + " bytes, but only " +
                                        std::to_string(available) + " are available");
  }
  return std::make_shared<EngineImpl>(std::move(implementation), options, progress);
}

std::string_view Version() { return QS_VERSION; }

}  // namespace quantspec
