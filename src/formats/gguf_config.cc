#include "formats/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/float16.h"
#include "formats/gguf_metadata.h"
#include "formats/model_limits.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

struct Family {
  std::string_view name;
  RopeLayout layout = RopeLayout::kHalves;
  QkNorm qk_norm = QkNorm::kNone;
  NormPlace norms = NormPlace::kBefore;
  Activation activation = Activation::kSilu;
  // Layers with windows, where the file does not mark them: all but every last of so many; 1: all,
  // 0: an architecture without windows.
  int window_period = 0;
  int default_window = 0;  // where the file does not say
  // Layers with windows have RoPE without scaling, of this base; 0: of the others'.
  bool has_local_rope = false;
  double local_base = 0;
  int rope_gap = 0;              // every so many layers one has no RoPE; 0: all have it
  bool has_multipliers = false;  // of embeddings, residuals, logits and scores
  bool has_growth = false;       // of queries with their position
  // sqrt(hidden) on embeddings, soft caps; scores are scaled by the width of a head, in models of
  // `wide_layers` layers by hidden / heads.
  bool has_gemma_scales = false;
  int wide_layers = 0;
  double softcap = 0, final_softcap = 0;  // where the file does not say
};
constexpr Family kFamilies[] = {
    // Llama 1 to 3.x, LWM, Mistral, SmolLM2
    {.name = "llama", .layout = RopeLayout::kPairs, .window_period = 1},
    {.name = "qwen2"},  // Qwen 2, 2.5
    {.name = "qwen3", .qk_norm = QkNorm::kPerHead},
    {.name = "phi3", .window_period = 1},  // Phi-3, 3.5, 4, 4-mini
    {.name = "smollm3", .layout = RopeLayout::kPairs, .rope_gap = 4},
    {.name = "granite", .layout = RopeLayout::kPairs, .has_multipliers = true},
    {.name = "mistral3", .layout = RopeLayout::kPairs, .has_growth = true},
    {.name = "olmo2",  // OLMo 2 and 3
     .qk_norm = QkNorm::kWhole,
     .norms = NormPlace::kAfter,
     .window_period = 4,
     .has_local_rope = true},
    {.name = "gemma2",
     .norms = NormPlace::kBoth,
     .activation = Activation::kGeluTanh,
     .window_period = 2,
     .default_window = 4096,
     .has_gemma_scales = true,
     .wide_layers = 46,
     .softcap = 50,
     .final_softcap = 30},
    {.name = "gemma3",
     .qk_norm = QkNorm::kPerHead,
     .norms = NormPlace::kBoth,
     .activation = Activation::kGeluTanh,
     .window_period = 6,
     .has_local_rope = true,
     .local_base = 10000.0,
     .has_gemma_scales = true,
     .wide_layers = 62},
};

void ReadYarn(const GgufMetadata& metadata, RopeConfig* rope) {
  rope->scaling = RopeScaling::kYarn;
  rope->attention_factor = metadata.Number("rope.scaling.attn_factor", 1.0);
  rope->beta_fast = metadata.Number("rope.scaling.yarn_beta_fast", 32.0);
  rope->beta_slow = metadata.Number("rope.scaling.yarn_beta_slow", 1.0);
  // As transformers' mscale_all_dim, whose mscale is 1.
  const double log_multiplier = metadata.Number("rope.scaling.yarn_log_multiplier", 0.0);
  if (log_multiplier != 0.0 && rope->factor > 1.0) {
    rope->attention_factor /= 0.1 * log_multiplier * std::log(rope->factor) + 1.0;
  }
}

RopeConfig ReadRope(const Gguf& file, const GgufMetadata& metadata, const Family& family,
                    const ModelInfo& info) {
  RopeConfig rope;
  rope.layout = family.layout;
  rope.rotated =
      static_cast<int>(metadata.Optional("rope.dimension_count", info.head_dim, info.head_dim));
  if (rope.rotated % 2 != 0) {
    throw metadata.Bad("rope.dimension_count", std::to_string(rope.rotated), "an even number");
  }
  rope.base = metadata.Positive("rope.freq_base", 10000.0);
  const auto type = file.String(metadata.Key("rope.scaling.type"));
  const double old_linear = metadata.Number("rope.scale_linear", 1.0);
  rope.factor = metadata.Positive("rope.scaling.factor", old_linear);
  rope.original_context = static_cast<int>(
      metadata.Optional("rope.scaling.original_context_length", info.context, kMostContext));
  if (type == "linear" || (!type && rope.factor != 1.0)) {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    ReadYarn(metadata, &rope);
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.low_frequency = metadata.Number("rope.scaling.low_freq_factor", 1.0);
    rope.high_frequency = metadata.Number("rope.scaling.high_freq_factor", 4.0);
  } else if (type == "longrope" || (!type && metadata.Has("rope.scaling.attn_factor"))) {
    rope.scaling = RopeScaling::kLongRope;
    rope.attention_factor = metadata.Positive("rope.scaling.attn_factor", 1.0);
  } else if (type && *type != "none") {
    throw Error(ErrorKind::kUnsupported, file.name() + ": RoPE scaling \"" + std::string(*type) +
                                             "\" is not supported; known: none, linear, llama3, "
                                             "yarn, longrope");
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

void RefuseVariants(const GgufMetadata& metadata, const Family& family) {
  metadata.Refuse("expert_count", "a mixture of experts");
  if (family.window_period == 0) {
    metadata.Refuse("attention.sliding_window", "sliding-window attention");
  }
  if (!family.has_gemma_scales) {
    metadata.Refuse("attn_logit_softcapping", "soft-capping of attention scores");
    metadata.Refuse("final_logit_softcapping", "soft-capping of logits");
  }
  if (!family.has_multipliers) {
    metadata.Refuse("logit_scale", "scaling of logits");
    metadata.Refuse("residual_scale", "scaling of residuals");
    metadata.Refuse("embedding_scale", "scaling of embeddings");
    metadata.Refuse("attention.scale", "scaling of attention scores");
  }
  if (!family.has_growth) {
    metadata.Refuse("attention.temperature_scale", "scaling of queries by their position");
  }
}

ModelInfo ReadInfo(const Gguf& file, const GgufMetadata& metadata, std::string_view architecture) {
  ModelInfo info;
  info.architecture = architecture;
  info.name = file.String("general.name").value_or(architecture);
  info.layers = static_cast<int>(metadata.Needed("block_count", kMostLayers));
  info.hidden = static_cast<int>(metadata.Needed("embedding_length", kMostWidth));
  info.ffn = static_cast<int>(metadata.Needed("feed_forward_length", kMostWidth));
  info.context = static_cast<int>(metadata.Needed("context_length", kMostContext));
  info.q_heads = static_cast<int>(metadata.Needed("attention.head_count", kMostHeads));
  info.kv_heads =
      static_cast<int>(metadata.Optional("attention.head_count_kv", info.q_heads, info.q_heads));
  if (info.q_heads % info.kv_heads != 0) {
    throw metadata.Bad("attention.head_count_kv", std::to_string(info.kv_heads),
                       "a divisor of " + std::to_string(info.q_heads) + " query heads");
  }
  info.head_dim = static_cast<int>(
      metadata.Optional("attention.key_length", info.hidden / info.q_heads, kMostWidth));
  const auto value_dim = metadata.Optional("attention.value_length", info.head_dim, kMostWidth);
  if (!IsHeadDim(info.head_dim) || value_dim != info.head_dim) {
    throw Error(ErrorKind::kUnsupported,
                file.name() + ": head_dim " + std::to_string(info.head_dim) + " (values " +
                    std::to_string(value_dim) +
                    ") is not supported; known: multiples of 16 up to 128, and 256, keys and "
                    "values alike");
  }
  return info;
}

// What layers have in common but for their windows and RoPE.
LayerClass ReadLayer(const GgufMetadata& metadata, const Family& family, const ModelInfo& info,
                     const RopeConfig& rope) {
  LayerClass layer;
  layer.epsilon = static_cast<float>(metadata.Number("attention.layer_norm_rms_epsilon", 1e-5));
  layer.qk_norm = family.qk_norm;
  layer.norms = family.norms;
  layer.activation = family.activation;
  if (family.has_multipliers) {
    if (metadata.Has("attention.scale")) {
      layer.attention_scale = metadata.Scale("attention.scale", 1.0);
    }
    layer.residual_scale = metadata.Scale("residual_scale", 1.0);
  }
  if (family.has_growth) {
    layer.query_growth = {metadata.Scale("attention.temperature_scale", 0.0),
                          rope.original_context};
  }
  if (family.has_gemma_scales) {
    const int width =
        info.layers == family.wide_layers ? info.hidden / info.q_heads : info.head_dim;
    layer.attention_scale = 1.0f / std::sqrt(static_cast<float>(width));
    layer.attention_softcap = metadata.Scale("attn_logit_softcapping", family.softcap);
  }
  return layer;
}

// Which layers have a sliding window.
std::vector<bool> ReadWindows(const GgufMetadata& metadata, const Family& family, int layers) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  if (family.window_period == 0) return std::vector<bool>(static_cast<size_t>(layers), false);
  if (const auto marks = metadata.Marks(kPattern, layers)) return *marks;
  const int64_t period = metadata.Optional(kPattern, family.window_period, kMostLayers);
  std::vector<bool> windows;
  for (int i = 0; i < layers; ++i) windows.push_back(period == 1 || (i + 1) % period != 0);
  return windows;
}

std::vector<LayerClass> ReadLayers(const Gguf& file, const GgufMetadata& metadata,
                                   const Family& family, const ModelInfo& info) {
  const RopeConfig rope = ReadRope(file, metadata, family, info);
  LayerClass full = ReadLayer(metadata, family, info, rope);
  LayerClass windowed = full;
  full.rope = windowed.rope = rope;
  if (family.has_local_rope) {
    windowed.rope = RopeConfig();
    windowed.rope.layout = rope.layout;
    windowed.rope.rotated = rope.rotated;
    const double base = family.local_base > 0 ? family.local_base : rope.base;
    windowed.rope.base = metadata.Positive("rope.freq_base_swa", base);
  }
  // Granite's switch for RoPE.
  if (family.has_multipliers && !metadata.Bool("rope.scaling.finetuned", true)) {
    full.rope = windowed.rope = RopeConfig();
  }
  const double window = metadata.Number("attention.sliding_window", family.default_window);
  if (window < 0) {
    throw metadata.Bad("attention.sliding_window", std::to_string(window), "0 or more");
  }
  windowed.window = static_cast<int>(std::min(window, double{kMostContext}));
  const std::vector<bool> windows =
      window > 0 ? ReadWindows(metadata, family, info.layers)
                 : std::vector<bool>(static_cast<size_t>(info.layers), false);
  std::vector<LayerClass> layers;
  for (size_t i = 0; i < windows.size(); ++i) {
    layers.push_back(windows[i] ? windowed : full);
    const bool is_gap = family.rope_gap > 0 && (i + 1) % static_cast<size_t>(family.rope_gap) == 0;
    if (is_gap) layers.back().rope = RopeConfig();
  }
  return layers;
}

void ReadScales(const GgufMetadata& metadata, const Family& family, ModelConfig* config) {
  if (family.has_multipliers) {
    config->embedding_scale = metadata.Scale("embedding_scale", 1.0);
    config->logit_scale = 1 / metadata.Scale("logit_scale", 1.0);
  }
  if (family.has_gemma_scales) {
    // The authors' software rounds it to bf16, the type of every checkpoint of theirs.
    config->embedding_scale =
        FloatFromBf16(Bf16FromFloat(std::sqrt(static_cast<float>(config->info.hidden))));
    config->logit_softcap = metadata.Scale("final_logit_softcapping", family.final_softcap);
  }
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
  const GgufMetadata metadata(file, *architecture);
  RefuseVariants(metadata, family);
  ModelInfo info = ReadInfo(file, metadata, *architecture);
  if (embedding == nullptr || embedding->shape.size() != 2 || embedding->shape[0] > kMostVocab) {
    throw Error(ErrorKind::kCorrupt,
                file.name() + ": tensor token_embd.weight is missing or has no shape [vocab, " +
                    std::to_string(info.hidden) + "]; the file is damaged or not a language model");
  }
  info.vocab = static_cast<int>(embedding->shape[0]);
  ModelConfig config = LayeredConfig(info, ReadLayers(file, metadata, family, info));
  ReadScales(metadata, family, &config);
  return config;
}

}  // namespace quantspec
