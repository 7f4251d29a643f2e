#include "engine/model_file.h"

#include <algorithm>

#include "base/buffer.h"
#include "base/cpus.h"
#include "engine/memory_plan.h"
#include "engine/out_of_memory.h"
#include "formats/load_model.h"
#include "formats/random_model.h"
#include "quantspec/session.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

// Left free by the largest context: large buffers are aligned, and small ones are not counted.
constexpr uint64_t kSpareBytes = uint64_t{8} << 20;

LoadedModel LoadSource(const EngineOptions& options) {
  return options.random_shape.empty() ? LoadModel(options.model_path)
                                      : RandomModel(options.random_shape);
}

}  // namespace

std::unique_ptr<Backend> MakeBackend(BackendKind kind, ThreadPool& pool) {
  return kind == BackendKind::kReference ? MakeReferenceBackend() : MakeCpuBackend(pool);
}

WeightOptions MakeWeightOptions(const EngineOptions& options, int layers) {
  WeightOptions weights;
  weights.mode = options.weights;
  weights.group = options.group == 0 ? 32 : options.group;
  if (weights.group != 32 && weights.group != 64 && weights.group != 128) {
    throw Error(ErrorKind::kUsage,
                "group: found " + std::to_string(options.group) + ", expected 32, 64 or 128");
  }
  const int exact = options.draft_exact_layers;
  if (exact < -1 || exact > layers) {
    throw Error(ErrorKind::kUsage, "draft_exact_layers: found " + std::to_string(exact) +
                                       ", expected 0 to " + std::to_string(layers) +
                                       ", the model's layers");
  }
  // Coarse groups cost the draft the most agreement in the last layers (docs/results.md).
  weights.draft_exact_layers = exact >= 0 ? exact : (weights.group > 32 ? 1 : 0);
  return weights;
}

int ThreadsOf(const EngineOptions& options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    throw Error(ErrorKind::kUsage, "threads: found " + std::to_string(options.threads) +
                                       ", expected 0 (automatic) to " +
                                       std::to_string(kMaxThreads));
  }
  return options.threads > 0 ? options.threads : DefaultThreads();
}

ModelFileImpl::ModelFileImpl(const EngineOptions& options)
    : options_(options), source_(LoadSource(options)), sizing_pool_(ThreadsOf(options)) {
  sizing_ = MakeBackend(options.backend, sizing_pool_);
  plan_ =
      std::make_unique<WeightPlan>(source_, MakeWeightOptions(options, info().layers), *sizing_);
}

std::vector<TensorInfo> ModelFileImpl::Tensors() const {
  std::vector<TensorInfo> tensors;
  for (const SourceTensor& source : source_.tensors) {
    TensorInfo tensor;
    tensor.name = source.source_name;
    tensor.source_type = source.stored_as;
    tensor.shape = source.shape;
    tensor.source_bytes = source.bytes;
    tensor.stored_type = "file";
    if (const TensorPlan* plan = source.name.empty() ? nullptr : plan_->Find(source.name)) {
      tensor.stored_type = plan->StoredType();
      tensor.stored_bytes = plan->bytes;
    }
    tensors.push_back(std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return tensors;
}

MemoryBytes ModelFileImpl::BytesFor(int context, const SessionOptions& options,
                                    const EngineCapacity& capacity) const {
  const SequenceSpec sequence = MakeSequenceSpec(config(), options_.weights, options, context);
  const CoreLimits limits = LimitsOf(capacity, context);
  const CoreBytes core = BytesOfCore(config(), limits, options.cache, *sizing_, HasDiskStore());
  MemoryBytes bytes;
  bytes.weights = plan_->bytes();
  bytes.pool = core.pool;
  bytes.scratch = core.scratch;
  const auto sequences = static_cast<uint64_t>(limits.sequences);
  bytes.tail = sequences * BytesOfSequence(config(), sequence, *sizing_);
  bytes.windows = sequences * WindowRings::Bytes(sequence.cache, *sizing_) + core.chunk_rows;
  return bytes;
}

int ModelFileImpl::ContextOf(const SessionOptions& options) const {
  const int context = options.context == 0 ? config().info.context : options.context;
  if (context < 1 || context > config().info.context) {
    throw Error(ErrorKind::kUsage, "context: found " + std::to_string(context) +
                                       ", expected 1 to " + std::to_string(config().info.context) +
                                       ", what the model was made for");
  }
  return context;
}

int ModelFileImpl::LargestContext(const SessionOptions& options, const EngineCapacity& capacity,
                                  uint64_t bytes) const {
  int fits = 0;
  const int most =
      capacity.cache_tokens > 0 ? std::min(capacity.cache_tokens, info().context) : info().context;
  for (int low = 1, high = most; low <= high;) {
    const int middle = low + (high - low) / 2;
    const MemoryBytes needed = BytesFor(middle, options, capacity);
    if (needed.total() - needed.weights + kSpareBytes <= bytes) {
      fits = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return fits;
}

MemoryPlan ModelFileImpl::Plan(const SessionOptions& options,
                               const EngineCapacity& capacity) const {
  MemoryPlan plan;
  plan.context = ContextOf(options);
  plan.bytes = BytesFor(plan.context, options, capacity);
  plan.available_bytes = AvailableMemoryBytes();
  const uint64_t beside = plan.available_bytes - std::min(plan.available_bytes, plan.bytes.weights);
  plan.largest_context = LargestContext(options, capacity, beside);
  return plan;
}

const NamingTokenizer& ModelFileImpl::tokenizer() const {
  if (!source_.tokenizer) throw Error(*source_.no_tokenizer);
  std::call_once(tokenizer_once_, [&] { tokenizer_ = MakeTokenizer(*source_.tokenizer); });
  return *tokenizer_;
}

const ChatTemplate* ModelFileImpl::chat() const {
  const NamingTokenizer& of_model = tokenizer();
  ChatTemplateTexts texts{source_.chat_template, source_.named_chat_templates};
  if (!options_.chat_template.empty()) texts = {options_.chat_template, {}};
  if (!texts.text && texts.named.empty()) return nullptr;
  std::call_once(chat_once_,
                 [&] { chat_ = MakeChatTemplate(texts, *source_.tokenizer, of_model); });
  return chat_.get();
}

std::unique_ptr<ModelFile> ModelFile::Open(const EngineOptions& options) {
  return OrOutOfMemory([&] { return std::make_unique<ModelFileImpl>(options); },
                       [&] {
                         return options.model_path +
                                ": there is not enough memory to read this file: " +
                                std::to_string(AvailableMemoryBytes()) +
                                " bytes are available; free some or raise the limits of this "
                                "process, or use fewer threads";
                       });
}

}  // namespace quantspec
