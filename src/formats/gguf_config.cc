#include "formats/gguf_config.h"

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "quantspec/error.h"

namespace quantspec {
namespace {

// Upper bounds that no dense model of today comes near; beyond them a file is damaged.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxVocab = int64_t{1} << 22;
constexpr int64_t kMaxContext = int64_t{1} << 27;

struct Family {
  std::string_view name;
  RopeLayout layout;
  QkNorm qk_norm;
};
constexpr Family kFamilies[] = {
    {"llama", RopeLayout::kPairs, QkNorm::kNone},   // Llama 1 to 3.x, LWM, Mistral, SmolLM2
    {"qwen2", RopeLayout::kHalves, QkNorm::kNone},  // Qwen 2, 2.5
    {"qwen3", RopeLayout::kHalves, QkNorm::kPerHead},
};

class MetadataReader {
 public:
  MetadataReader(const Gguf& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}

  std::string Key(std::string_view key) const { return prefix_ + std::string(key); }

  int64_t Needed(std::string_view key, int64_t most) const {
    const auto value = Whole(key);
    if (!value) throw Bad(key, "missing", "a whole number");
    return InRange(key, *value, most);
  }
  int64_t Optional(std::string_view key, int64_t otherwise, int64_t most) const {
    const auto value = Whole(key);
    return value ? InRange(key, *value, most) : otherwise;
  }
  double Number(std::string_view key, double otherwise) const {
    const double value = file_.Number(Key(key)).value_or(otherwise);
    if (!std::isfinite(value)) throw Bad(key, "not finite", "a finite number");
    return value;
  }
  Error Bad(std::string_view key, const std::string& found, const std::string& expected) const {
    return Error(ErrorKind::kCorrupt, file_.name() + ": metadata " + Key(key) + ": found " + found +
                                          ", expected " + expected +
                                          "; the file is damaged or was converted wrongly");
  }
  void Refuse(std::string_view key, const std::string& what) const {
    const GgufValue* value = file_.Find(Key(key));
    if (value == nullptr) return;
    const auto* array = std::get_if<GgufArray>(value);
    if (array == nullptr && file_.Number(Key(key)).value_or(0.0) == 0.0) return;
    throw Error(ErrorKind::kUnsupported,
                file_.name() + ": metadata " + Key(key) + " is set: " + what +
                    " is not supported; use a dense model with full attention");
  }

 private:
  // One number, or a per-layer array of equal numbers.
  std::optional<int64_t> Whole(std::string_view key) const {
    const GgufValue* value = file_.Find(Key(key));
    if (value == nullptr) return std::nullopt;
    const auto* array = std::get_if<GgufArray>(value);
    if (array == nullptr) return file_.Integer(Key(key));
    for (const int64_t element : array->integers) {
      if (element == array->integers.front()) continue;
      throw Error(ErrorKind::kUnsupported, file_.name() + ": metadata " + Key(key) +
                                               " differs between layers, which is not supported");
    }
    if (array->integers.empty()) throw Bad(key, "an empty or non-integer array", "a whole number");
    return array->integers.front();
  }
  int64_t InRange(std::string_view key, int64_t value, int64_t most) const {
    if (value >= 1 && value <= most) return value;
    throw Bad(key, std::to_string(value), "1 to " + std::to_string(most));
  }

  const Gguf& file_;
  std::string prefix_;
};

RopeConfig ReadRope(const Gguf& file, const MetadataReader& reader, RopeLayout layout,
                    const ModelInfo& info) {
  RopeConfig rope;
  rope.layout = layout;
  rope.rotated =
      static_cast<int>(reader.Optional("rope.dimension_count", info.head_dim, info.head_dim));
  if (rope.rotated % 2 != 0) {
    throw reader.Bad("rope.dimension_count", std::to_string(rope.rotated), "an even number");
  }
  rope.base = reader.Number("rope.freq_base", 10000.0);
  if (!(rope.base > 0)) throw reader.Bad("rope.freq_base", std::to_string(rope.base), "above 0");
  const auto type = file.String(reader.Key("rope.scaling.type"));
  const double old_linear = reader.Number("rope.scale_linear", 1.0);
  rope.factor = reader.Number("rope.scaling.factor", old_linear);
  if (!(rope.factor > 0)) {
    throw reader.Bad("rope.scaling.factor", std::to_string(rope.factor), "above 0");
  }
  rope.original_context = static_cast<int>(
      reader.Optional("rope.scaling.original_context_length", info.context, kMaxContext));
  if (type == "linear" || (!type && rope.factor != 1.0)) {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    rope.attention_factor = reader.Number("rope.scaling.attn_factor", 1.0);
    rope.beta_fast = reader.Number("rope.scaling.yarn_beta_fast", 32.0);
    rope.beta_slow = reader.Number("rope.scaling.yarn_beta_slow", 1.0);
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.low_frequency = reader.Number("rope.scaling.low_freq_factor", 1.0);
    rope.high_frequency = reader.Number("rope.scaling.high_freq_factor", 4.0);
  } else if (type && *type != "none") {
    throw Error(ErrorKind::kUnsupported, file.name() + ": RoPE scaling \"" + std::string(*type) +
                                             "\" is not supported; known: none, linear, llama3, "
                                             "yarn");
  }
  return rope;
}

const Family& FindFamily(const Gguf& file, std::string_view architecture) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.name == architecture) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  throw Error(ErrorKind::kUnsupported, file.name() + ": architecture \"" +
                                           std::string(architecture) +
                                           "\" is not supported; known: " + known);
}

void RefuseVariants(const MetadataReader& reader) {
  reader.Refuse("attention.sliding_window", "sliding-window attention");
  reader.Refuse("expert_count", "a mixture of experts");
  reader.Refuse("attn_logit_softcapping", "soft-capping of attention scores");
  reader.Refuse("final_logit_softcapping", "soft-capping of logits");
  reader.Refuse("logit_scale", "scaling of logits");
  reader.Refuse("residual_scale", "scaling of residuals");
  reader.Refuse("embedding_scale", "scaling of embeddings");
}

ModelInfo ReadInfo(const Gguf& file, const MetadataReader& reader, std::string_view architecture) {
  ModelInfo info;
  info.architecture = architecture;
  info.name = file.String("general.name").value_or(architecture);
  info.layers = static_cast<int>(reader.Needed("block_count", kMaxLayers));
  info.hidden = static_cast<int>(reader.Needed("embedding_length", kMaxWidth));
  info.ffn = static_cast<int>(reader.Needed("feed_forward_length", kMaxWidth));
  info.context = static_cast<int>(reader.Needed("context_length", kMaxContext));
  info.q_heads = static_cast<int>(reader.Needed("attention.head_count", 4096));
  info.kv_heads =
      static_cast<int>(reader.Optional("attention.head_count_kv", info.q_heads, info.q_heads));
  if (info.q_heads % info.kv_heads != 0) {
    throw reader.Bad("attention.head_count_kv", std::to_string(info.kv_heads),
                     "a divisor of " + std::to_string(info.q_heads) + " query heads");
  }
  info.head_dim = static_cast<int>(
      reader.Optional("attention.key_length", info.hidden / info.q_heads, kMaxWidth));
  const auto value_dim = reader.Optional("attention.value_length", info.head_dim, kMaxWidth);
  // Kernels work on 16 channels at a time, and value groups of 128 must divide a head.
  const bool known_dim =
      (info.head_dim % 16 == 0 && info.head_dim <= kKvGroup) || info.head_dim == 2 * kKvGroup;
  if (!known_dim || value_dim != info.head_dim) {
    throw Error(ErrorKind::kUnsupported,
                file.name() + ": head_dim " + std::to_string(info.head_dim) + " (values " +
                    std::to_string(value_dim) +
                    ") is not supported; known: multiples of 16 up to 128, and 256, keys and "
                    "values alike");
  }
  return info;
}

}  // namespace

void CheckIsModel(const Gguf& file) {
  const std::string_view type = file.String("general.type").value_or("model");
  const std::string_view architecture = file.String("general.architecture").value_or("");
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::kUnsupported, file.name() + ": this is " + what);
  };
  if (type == "adapter") {
    refuse(
        "an adapter (LoRA), not a model: it changes the weights of the model that it was made "
        "for; merge it into that model, for example with llama-export-lora, and open the "
        "result");
  }
  if (type == "mmproj" || architecture == "clip") {
    refuse(
        "a projector of images or sound (mmproj), not a language model: it belongs to one; "
        "open that model's own file, for text alone");
  }
  if (type == "imatrix") {
    refuse(
        "an importance matrix (imatrix), not a model: it is needed only to quantise one; open "
        "the model that it was made for");
  }
  if (architecture == "controlvector") {
    refuse(
        "a control vector, not a model: it steers the model that it was made for, which this "
        "build cannot do; open that model by itself");
  }
}

ModelConfig ReadGgufConfig(const Gguf& file, const GgufTensor* embedding) {
  const auto architecture = file.String("general.architecture");
  if (!architecture) {
    throw Error(ErrorKind::kCorrupt,
                file.name() + ": metadata general.architecture is missing; not a model file");
  }
  const Family& family = FindFamily(file, *architecture);
  const MetadataReader reader(file, std::string(*architecture));
  RefuseVariants(reader);
  ModelInfo info = ReadInfo(file, reader, *architecture);
  LayerClass layer;
  layer.epsilon = static_cast<float>(reader.Number("attention.layer_norm_rms_epsilon", 1e-5));
  layer.qk_norm = family.qk_norm;
  layer.rope = ReadRope(file, reader, family.layout, info);
  if (embedding == nullptr || embedding->shape.size() != 2 || embedding->shape[0] > kMaxVocab) {
    throw Error(ErrorKind::kCorrupt,
                file.name() + ": tensor token_embd.weight is missing or has no shape [vocab, " +
                    std::to_string(info.hidden) + "]; the file is damaged or not a language model");
  }
  info.vocab = static_cast<int>(embedding->shape[0]);
  return UniformConfig(info, std::move(layer));
}

}  // namespace quantspec
