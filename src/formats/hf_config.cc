#include "formats/hf_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/float16.h"
#include "formats/hf_families.h"
#include "formats/hf_rope.h"
#include "formats/model_limits.h"

namespace quantspec {
namespace {

// The text part of a file, and where it is in it.
struct TextPart {
  JsonTree tree;
  std::string where;
  const HfFamily* family = nullptr;
  bool is_nested = false;
};

TextPart FindTextPart(const JsonTree& tree, const std::string& file) {
  const JsonFields whole(tree, file);
  TextPart part{tree, file, nullptr, false};
  if (const HfWrapper* wrapper = FindHfWrapper(whole.String("model_type").value_or(""))) {
    const JsonTree* text = whole.Find("text_config");
    if (text == nullptr) whole.Bad("text_config", "none", "what the text part is");
    part.tree = *text;
    part.where = file + ": text_config";
    part.is_nested = true;
    const JsonFields fields(part.tree, part.where);
    if (fields.Find("model_type") == nullptr) part.tree["model_type"] = wrapper->text_type;
    // Weights of both parts are tied or not together.
    if (fields.Find("tie_word_embeddings") == nullptr) {
      if (const JsonTree* tied = whole.Find("tie_word_embeddings")) {
        part.tree["tie_word_embeddings"] = *tied;
      }
    }
  }
  part.family = &FindHfFamily(JsonFields(part.tree, part.where));
  part.tree = WithDefaults(part.tree, *part.family);
  return part;
}

void RefuseVariants(const JsonFields& whole, const JsonFields& config, bool is_nested) {
  if (const JsonTree* classes = whole.Find("architectures")) {
    if (!classes->is_array() || classes->empty() || !classes->front().is_string()) {
      whole.Bad("architectures", Shown(*classes), "a list of names");
    }
    const std::string& name = classes->front().get_ref<const std::string&>();
    if (!name.ends_with("ForCausalLM") &&
        !(is_nested && name.ends_with("ForConditionalGeneration"))) {
      whole.Refuse("architectures", Shown(*classes), "a model that is not for text generation");
    }
  }
  if (config.Bool("rope_interleaved", false)) {
    config.Refuse("rope_interleaved", "true", "RoPE over neighbouring channels");
  }
  if (config.Bool("use_bidirectional_attention", false)) {
    config.Refuse("use_bidirectional_attention", "true", "attention to tokens that follow");
  }
  for (const char* key : {"num_experts", "num_local_experts"}) {
    if (config.Whole(key, 0, kMostWidth).value_or(0) > 0) {
      config.Refuse(key, Shown(*config.Find(key)), "a mixture of experts");
    }
  }
}

Activation ReadActivation(const JsonFields& config) {
  const char* const key =
      config.Find("hidden_activation") != nullptr ? "hidden_activation" : "hidden_act";
  const std::string name = config.String(key).value_or("silu");
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::kGeluTanh;
  config.Refuse(key, "\"" + name + "\"", "any activation but silu and gelu_pytorch_tanh");
}

ModelInfo ReadInfo(const JsonFields& config, const HfFamily& family) {
  const auto whole = [&](std::string_view key, int64_t most) {
    return static_cast<int>(config.NeededWhole(key, 1, most));
  };
  ModelInfo info;
  info.architecture = family.model_type;
  info.layers = whole("num_hidden_layers", kMostLayers);
  info.hidden = whole("hidden_size", kMostWidth);
  info.ffn = whole("intermediate_size", kMostWidth);
  info.context = whole("max_position_embeddings", kMostContext);
  info.vocab = whole("vocab_size", kMostVocab);
  info.q_heads = whole("num_attention_heads", kMostHeads);
  const auto kv_heads = config.Whole("num_key_value_heads", 1, info.q_heads);
  if (!kv_heads && !family.has_heads_default) {
    config.Bad("num_key_value_heads", "none", "a whole number");
  }
  info.kv_heads = static_cast<int>(kv_heads.value_or(info.q_heads));
  if (info.q_heads % info.kv_heads != 0) {
    config.Bad("num_key_value_heads", std::to_string(info.kv_heads),
               "a divisor of " + std::to_string(info.q_heads) + " query heads");
  }
  info.head_dim = static_cast<int>(
      config.Whole("head_dim", 1, kMostWidth).value_or(info.hidden / info.q_heads));
  if (!IsHeadDim(info.head_dim)) {
    config.Refuse("head_dim", std::to_string(info.head_dim),
                  "a width of heads that is no multiple of 16 up to 128, nor 256");
  }
  if (info.hidden % 2 != 0)
    config.Refuse("hidden_size", std::to_string(info.hidden), "an odd width");
  return info;
}

// A list of an entry for each layer, or more; null if the file has none.
const JsonTree* FindList(const JsonFields& config, std::string_view key, int layers) {
  const JsonTree* list = config.Find(key);
  if (list == nullptr) return nullptr;
  if (!list->is_array() || list->size() < static_cast<size_t>(layers)) {
    config.Bad(key, Shown(*list), "a list of " + std::to_string(layers) + " entries");
  }
  return list;
}

bool IsNamedWindowed(const JsonFields& config, const JsonTree& name) {
  if (name == "sliding_attention") return true;
  if (name != "full_attention") config.Refuse("layer_types", Shown(name), "such a layer");
  return false;
}

// Which layers are without RoPE.
std::vector<bool> ReadRopeGaps(const JsonFields& config, const HfFamily& family, int layers) {
  std::vector<bool> gaps(static_cast<size_t>(layers), false);
  if (!family.has_rope_gaps) return gaps;
  const JsonTree* list = FindList(config, "no_rope_layers", layers);
  const int64_t interval = config.Whole("no_rope_layer_interval", 1, kMostLayers).value_or(1);
  for (size_t i = 0; i < gaps.size(); ++i) {
    if (list == nullptr) {
      gaps[i] = (static_cast<int64_t>(i) + 1) % interval == 0;
    } else if ((*list)[i] == 0 || (*list)[i] == 1) {
      gaps[i] = (*list)[i] == 0;  // 1 means that there is RoPE
    } else {
      config.Bad("no_rope_layers", Shown((*list)[i]), "0 or 1");
    }
  }
  return gaps;
}

// Which layers have a sliding window.
std::vector<bool> ReadWindows(const JsonFields& config, const HfFamily& family,
                              const std::vector<bool>& rope_gaps) {
  const int layers = static_cast<int>(rope_gaps.size());
  std::vector<bool> windows(rope_gaps.size(), false);
  const JsonTree* names = FindList(config, "layer_types", layers);
  const bool is_switched = family.windows == HfWindows::kSwitched;
  const bool is_off = family.windows == HfWindows::kNone ||
                      config.Find("sliding_window") == nullptr ||
                      (is_switched && !config.Bool("use_sliding_window", false));
  const int64_t first = config.Whole("max_window_layers", 0, kMostLayers).value_or(0);
  const int64_t period = config.Whole("sliding_window_pattern", 1, kMostLayers).value_or(1);
  for (int i = 0; i < layers; ++i) {
    const auto at = static_cast<size_t>(i);
    const bool is_named = names != nullptr && IsNamedWindowed(config, (*names)[at]);
    if (is_off) {
      if (is_named && !is_switched) config.Bad("sliding_window", "none", "how large it is");
      continue;
    }
    if (names != nullptr) {
      windows[at] = is_named;
    } else if (family.windows == HfWindows::kPeriodic) {
      windows[at] = (i + 1) % period != 0;
    } else if (is_switched && family.has_rope_gaps) {
      windows[at] = rope_gaps[at];
    } else {
      windows[at] = !is_switched || i >= first;
    }
  }
  return windows;
}

// A factor or cap, of a size that floats and sums of them bear.
float Scale(const JsonFields& config, std::string_view key) {
  const double value = config.Positive(key, 1.0);
  if (!IsScale(value)) config.Bad(key, std::to_string(value), kScales);
  return static_cast<float>(value);
}

// What layers have in common but for their windows and RoPE.
LayerClass ReadLayer(const JsonFields& config, const HfFamily& family, const ModelInfo& info) {
  LayerClass layer;
  layer.epsilon = static_cast<float>(config.Positive("rms_norm_eps", 1e-6));
  layer.activation = ReadActivation(config);
  layer.qk_norm = family.qk_norm;
  layer.norms = family.norms;
  if (family.has_query_growth) layer.query_growth = ReadHfQueryGrowth(config, info);
  if (family.has_multipliers) {
    layer.attention_scale = Scale(config, "attention_multiplier");
    layer.residual_scale = Scale(config, "residual_multiplier");
  }
  if (family.has_gemma_scales) {
    layer.attention_scale = 1 / std::sqrt(Scale(config, "query_pre_attn_scalar"));
    if (config.Find("attn_logit_softcapping") != nullptr) {
      layer.attention_softcap = Scale(config, "attn_logit_softcapping");
    }
  }
  return layer;
}

// transformers multiplies by a number of the checkpoint's type.
float EmbeddingScale(const JsonFields& whole, const JsonFields& config, int hidden) {
  const float scale = std::sqrt(static_cast<float>(hidden));
  std::string dtype = "bfloat16";
  for (const JsonFields* fields : {&whole, &config}) {
    for (const char* key : {"torch_dtype", "dtype"}) {
      if (fields->Find(key) != nullptr) dtype = *fields->String(key);
    }
  }
  if (dtype == "float32") return scale;
  return dtype == "float16" ? FloatFromF16(F16FromFloat(scale))
                            : FloatFromBf16(Bf16FromFloat(scale));
}

std::vector<LayerClass> ReadLayers(const JsonFields& config, const HfFamily& family,
                                   const ModelInfo& info) {
  const std::vector<bool> gaps = ReadRopeGaps(config, family, info.layers);
  const std::vector<bool> windows = ReadWindows(config, family, gaps);
  LayerClass full = ReadLayer(config, family, info);
  LayerClass windowed = full;
  full.rope = ReadHfRope(config, family, info, /*has_window=*/false);
  windowed.rope = ReadHfRope(config, family, info, /*has_window=*/true);
  windowed.window = static_cast<int>(config.Whole("sliding_window", 0, kMostContext).value_or(0));
  std::vector<LayerClass> layers;
  for (size_t i = 0; i < gaps.size(); ++i) {
    layers.push_back(windows[i] ? windowed : full);
    if (gaps[i]) layers.back().rope = RopeConfig();
  }
  return layers;
}

// YaRN's is longer than what the file says.
int StretchedContext(const std::vector<LayerClass>& layers, int context) {
  double most = context;
  for (const LayerClass& layer : layers) {
    if (layer.rope.scaling != RopeScaling::kYarn) continue;
    most = std::max(most, layer.rope.original_context * layer.rope.factor);
  }
  return static_cast<int>(std::min(most, double{kMostContext}));
}

}  // namespace

HfConfig ReadHfConfig(const JsonTree& tree, const std::string& file) {
  const TextPart part = FindTextPart(tree, file);
  const JsonFields whole(tree, file), config(part.tree, part.where);
  const HfFamily& family = *part.family;
  RefuseVariants(whole, config, part.is_nested);
  ModelInfo info = ReadInfo(config, family);
  std::vector<LayerClass> layers = ReadLayers(config, family, info);
  info.context = StretchedContext(layers, info.context);
  HfConfig read;
  read.model = LayeredConfig(info, std::move(layers));
  if (family.has_multipliers) {
    read.model.embedding_scale = Scale(config, "embedding_multiplier");
    read.model.logit_scale = 1 / Scale(config, "logits_scaling");
  }
  if (family.has_gemma_scales) {
    read.model.embedding_scale = EmbeddingScale(whole, config, info.hidden);
    if (config.Find("final_logit_softcapping") != nullptr) {
      read.model.logit_softcap = Scale(config, "final_logit_softcapping");
    }
  }
  read.is_tied = config.Bool("tie_word_embeddings", false);
  read.norms_add_one = family.norms_add_one;
  read.is_nested = part.is_nested;
  return read;
}

}  // namespace quantspec
