#include "engine/model_file.h"

#include <algorithm>

#include "decode/speculative.h"
#include "quantspec/session.h"
#include "text/gguf_tokenizer.h"

namespace quantspec {
namespace {

constexpr size_t kShownElements = 8;  // of a metadata array

std::string TextOf(double number) {
  std::string text = std::to_string(number);
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

struct ValueText {
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(uint64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return TextOf(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::string_view value) const { return std::string(value); }
  std::string operator()(const GgufArray& array) const {
    std::string text = "[";
    const size_t shown = std::min(array.size(), kShownElements);
    for (size_t i = 0; i < shown; ++i) {
      if (i > 0) text += ", ";
      if (!array.strings.empty()) text += std::string(array.strings[i]);
      if (!array.integers.empty()) text += std::to_string(array.integers[i]);
      if (!array.numbers.empty()) text += TextOf(array.numbers[i]);
    }
    if (array.size() > shown) text += ", ... " + std::to_string(array.size()) + " in all";
    return text + "]";
  }
};

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

KvCacheSpec MakeCacheSpec(const ModelConfig& config, WeightMode weights,
                          const SessionOptions& options, int context) {
  if (options.draft_context < kDraftContextAuto) {
    throw Error(ErrorKind::kUsage, "draft_context: found " + std::to_string(options.draft_context) +
                                       ", expected -1 (automatic) or a number of tokens");
  }
  KvCacheSpec spec;
  spec.kind = options.cache;
  spec.draft_context = options.draft_context;
  const bool is_reference = weights == WeightMode::kFloat && spec.kind == CacheKind::kFull;
  spec.dense_type = is_reference ? KvType::kF32 : KvType::kF16;
  spec.geometry = {config.info.kv_heads, config.info.head_dim};
  spec.layers = config.info.layers;
  spec.context = context;
  return spec;
}

TransformerLimits MakeLimits(int context) {
  TransformerLimits limits;
  limits.context = context;
  limits.step_rows = kMaxGamma + 1;
  static_assert(kMaxGamma + 1 <= kStepTokens, "a verify step tells what groups weigh");
  return limits;
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
    : options_(options), sizing_pool_(ThreadsOf(options)) {
  if (options.random_shape.empty()) {
    mapped_ = MappedFile(options.model_path);
    gguf_ = Gguf::Parse(mapped_.bytes(), mapped_.path(), GgmlTypeSize);
    config_ = ReadModelConfig(*gguf_);
    source_ = std::make_unique<TensorSource>(*gguf_);
    ReadRopeDivisors(*source_, config_);
  } else {
    config_ = KnownShape(options.random_shape);
    source_ = std::make_unique<TensorSource>(config_);
  }
  sizing_ = MakeBackend(options.backend, sizing_pool_);
  plan_ = std::make_unique<WeightPlan>(*source_, config_,
                                       MakeWeightOptions(options, config_.info.layers), *sizing_);
}

std::vector<TensorInfo> ModelFileImpl::Tensors() const {
  std::vector<TensorInfo> tensors;
  for (const SourceTensor& source : source_->tensors()) {
    TensorInfo info;
    info.name = source.name;
    info.source_type = FindGgmlType(static_cast<uint32_t>(source.type))->name;
    info.shape = source.shape;
    info.source_bytes = source.row_bytes * static_cast<uint64_t>(source.rows());
    if (const TensorPlan* plan = plan_->Find(source.name)) {
      info.stored_type = plan->StoredType();
      info.stored_bytes = plan->bytes;
    } else {
      info.stored_type = "file";
    }
    tensors.push_back(std::move(info));
  }
  return tensors;
}

std::vector<std::pair<std::string, std::string>> ModelFileImpl::Metadata() const {
  std::vector<std::pair<std::string, std::string>> metadata;
  if (!gguf_) return metadata;
  for (const Gguf::Entry& entry : gguf_->entries()) {
    metadata.emplace_back(entry.key, std::visit(ValueText{}, entry.value));
  }
  return metadata;
}

MemoryBytes ModelFileImpl::BytesFor(int context, const SessionOptions& options,
                                    const Backend& backend) const {
  MemoryBytes bytes;
  bytes.weights = plan_->bytes();
  bytes.cache = KvCacheBytes(MakeCacheSpec(config_, options_.weights, options, context), backend);
  bytes.scratch = Transformer::ScratchBytes(config_, backend, MakeLimits(context)) +
                  Decoder::Bytes(config_.info.vocab, context);
  return bytes;
}

int ModelFileImpl::ContextOf(const SessionOptions& options) const {
  const int context = options.context == 0 ? config_.info.context : options.context;
  if (context < 1 || context > config_.info.context) {
    throw Error(ErrorKind::kUsage, "context: found " + std::to_string(context) +
                                       ", expected 1 to " + std::to_string(config_.info.context) +
                                       ", what the model was made for");
  }
  return context;
}

MemoryPlan ModelFileImpl::Plan(const SessionOptions& options) const {
  MemoryPlan plan;
  plan.context = ContextOf(options);
  plan.bytes = BytesFor(plan.context, options, *sizing_);
  plan.available_bytes = AvailableMemoryBytes();
  int fits = 0;
  for (int low = 1, high = config_.info.context; low <= high;) {
    const int middle = low + (high - low) / 2;
    if (BytesFor(middle, options, *sizing_).total() <= plan.available_bytes) {
      fits = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  plan.largest_context = fits;
  return plan;
}

const Tokenizer& ModelFileImpl::tokenizer() const {
  std::call_once(tokenizer_once_, [&] {
    if (!gguf_) {
      throw Error(ErrorKind::kUnsupported, "random weights have no tokenizer; use a model file");
    }
    tokenizer_ = MakeTokenizer(*gguf_);
  });
  return *tokenizer_;
}

const ChatFormat* ModelFileImpl::chat() const {
  const Tokenizer& of_model = tokenizer();
  std::call_once(chat_once_, [&] { chat_ = MakeChatFormat(*gguf_, of_model); });
  return chat_.get();
}

std::unique_ptr<ModelFile> ModelFile::Open(const EngineOptions& options) {
  return std::make_unique<ModelFileImpl>(options);
}

}  // namespace quantspec
