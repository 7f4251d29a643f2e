#include "formats/hf_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

namespace quantspec {
namespace {

// Upper bounds that no dense model of today comes near; beyond them a file is damaged.
constexpr int64_t kMostLayers = 1024;
constexpr int64_t kMostWidth = int64_t{1} << 20;
constexpr int64_t kMostVocab = int64_t{1} << 22;
constexpr int64_t kMostContext = int64_t{1} << 27;

struct Family {
  std::string_view model_type;
  QkNorm qk_norm;
};
constexpr Family kFamilies[] = {
    {"llama", QkNorm::kNone},  // Llama 2 and 3, SmolLM2, R1-Distill-Llama
    {"mistral", QkNorm::kNone},
    {"qwen2", QkNorm::kNone},
    {"qwen3", QkNorm::kPerHead},
};

struct Missing {
  std::string_view model_type, what;
};
constexpr Missing kMissing[] = {
    {"phi3", "fused projections and longrope"},
    {"smollm3", "layers without RoPE"},
    {"granite", "multipliers of embeddings, attention, residuals and logits"},
    {"ministral3", "scaling of queries by their position"},
    {"gemma", "norms that add 1 to their weight, with GELU"},
    {"gemma2", "soft caps and alternating attention windows"},
    {"gemma3", "attention windows and norms behind the layers (and pictures)"},
    {"gemma3_text", "attention windows and norms behind the layers"},
    {"olmo2", "norms behind the layers alone"},
    {"olmo3", "attention windows and norms behind the layers alone"},
    {"mixtral", "a mixture of experts"},
    {"qwen2_moe", "a mixture of experts"},
    {"qwen3_moe", "a mixture of experts"},
    {"gpt_oss", "a mixture of experts"},
    {"deepseek_v3", "latent attention and a mixture of experts"},
    {"qwen3_5", "linear attention"},
    {"qwen3_next", "linear attention"},
};

const Family& FindFamily(const JsonFields& config) {
  const auto type = config.String("model_type");
  if (!type) {
    config.Bad("model_type", "none", "the model's family; is this the folder of a whole model?");
  }
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.model_type == *type) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  for (const Missing& missing : kMissing) {
    if (missing.model_type == *type) {
      config.Refuse("model_type", "\"" + *type + "\"", std::string(missing.what));
    }
  }
  config.Refuse("model_type", "\"" + *type + "\"", "this family (known: " + known + ")");
}

void RefuseVariants(const JsonFields& config) {
  const std::string activation = config.String("hidden_act").value_or("silu");
  if (activation != "silu" && activation != "swish") {
    config.Refuse("hidden_act", "\"" + activation + "\"", "any activation but silu");
  }
  if (const JsonTree* classes = config.Find("architectures")) {
    if (!classes->is_array() || classes->empty() || !classes->front().is_string()) {
      config.Bad("architectures", Shown(*classes), "a list of names");
    }
    if (!classes->front().get_ref<const std::string&>().ends_with("ForCausalLM")) {
      config.Refuse("architectures", Shown(*classes), "a model that is not for text generation");
    }
  }
  if (config.Bool("rope_interleaved", false)) {
    config.Refuse("rope_interleaved", "true", "RoPE over neighbouring channels");
  }
  for (const char* key : {"num_experts", "num_local_experts"}) {
    if (config.Whole(key, 0, kMostWidth).value_or(0) > 0) {
      config.Refuse(key, Shown(*config.Find(key)), "a mixture of experts");
    }
  }
}

// Windows that keep no layer from its whole context are no windows.
void RefuseWindows(const JsonFields& config, const ModelInfo& info) {
  const auto refuse = [&](std::string_view key) {
    const JsonTree* value = config.Find(key);
    config.Refuse(key, value == nullptr ? "none, which says 4096" : Shown(*value),
                  "attention in a sliding window");
  };
  if (const JsonTree* types = config.Find("layer_types")) {
    if (!types->is_array()) config.Bad("layer_types", Shown(*types), "a list of names");
    for (const JsonTree& type : *types) {
      if (type != "full_attention") refuse("layer_types");
    }
    return;
  }
  if (!config.Bool("use_sliding_window", true)) return;
  const bool has_switch = config.Find("use_sliding_window") != nullptr;
  auto window = config.Whole("sliding_window", 0, kMostContext);
  // What transformers takes for a Mistral whose file does not say; null says "none".
  if (!config.Has("sliding_window") && config.String("model_type") == "mistral") window = 4096;
  if (!window || *window == 0 || *window >= info.context) return;
  const auto first = config.Whole("max_window_layers", 0, kMostLayers);
  if (has_switch && first.value_or(0) >= info.layers) return;
  if (config.String("model_type") == "llama") return;  // which has none
  // Qwen's files carry a window that is off unless the switch says otherwise.
  if (!has_switch && config.String("model_type") != "mistral") return;
  refuse("sliding_window");
}

// cosine and sine are multiplied by the value that the file gives or implies; ours multiplies what
// YaRN gives by itself.
double YarnAttentionFactor(const JsonFields& rope, double factor) {
  const auto scale = [&](double mscale) {
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
  };
  const auto given = rope.Number("attention_factor");
  const double mscale = rope.Number("mscale").value_or(0.0);
  const double all = rope.Number("mscale_all_dim").value_or(0.0);
  double total = scale(1.0);
  if (given) {
    total = *given;
  } else if (mscale != 0.0 && all != 0.0) {
    total = scale(mscale) / scale(all);
  }
  if (!std::isfinite(total) || total <= 0) {
    rope.Bad("attention_factor", std::to_string(total), "a number above 0");
  }
  return total / scale(1.0);
}

void ReadScaling(const JsonFields& rope, const ModelInfo& info, RopeConfig* out) {
  std::string type = rope.String("rope_type").value_or("");
  if (type.empty()) type = rope.String("type").value_or("default");
  if (type == "default" || type == "none") return;
  const auto factor = [&] {
    if (rope.Find("factor") == nullptr) rope.Bad("factor", "none", "a number above 0");
    return rope.Positive("factor", 1.0);
  };
  const auto original = [&] {
    return static_cast<int>(
        rope.Whole("original_max_position_embeddings", 1, kMostContext).value_or(info.context));
  };
  if (type == "linear") {
    out->scaling = RopeScaling::kLinear;
    out->factor = factor();
  } else if (type == "llama3") {
    out->scaling = RopeScaling::kLlama3;
    out->factor = factor();
    out->original_context = original();
    out->low_frequency = rope.Positive("low_freq_factor", 1.0);
    out->high_frequency = rope.Positive("high_freq_factor", 4.0);
    if (out->high_frequency <= out->low_frequency) {
      rope.Bad("high_freq_factor", std::to_string(out->high_frequency),
               "more than low_freq_factor");
    }
  } else if (type == "yarn") {
    out->scaling = RopeScaling::kYarn;
    out->original_context = original();
    out->factor = factor();
    out->beta_fast = rope.Positive("beta_fast", 32.0);
    out->beta_slow = rope.Positive("beta_slow", 1.0);
    out->attention_factor = YarnAttentionFactor(rope, out->factor);
    if (!rope.Bool("truncate", true)) rope.Refuse("truncate", "false", "YaRN without rounding");
  } else {
    rope.Refuse("rope_type", "\"" + type + "\"",
                "this scaling of RoPE (known: default, linear, llama3, yarn)");
  }
}

RopeConfig ReadRope(const JsonFields& config, const ModelInfo& info) {
  const bool is_v5 = config.Find("rope_parameters") != nullptr;
  const char* const key = is_v5 ? "rope_parameters" : "rope_scaling";
  static const JsonTree kEmpty = JsonTree::object();
  const JsonTree* tree = config.Find(key);
  const JsonFields rope(tree == nullptr ? kEmpty : *tree, config.where() + ": " + key);
  RopeConfig out;
  out.layout = RopeLayout::kHalves;
  out.base = rope.Find("rope_theta") != nullptr ? rope.Positive("rope_theta", 10000.0)
                                                : config.Positive("rope_theta", 10000.0);
  const JsonFields& of_share = rope.Find("partial_rotary_factor") != nullptr ? rope : config;
  const double share = of_share.Positive("partial_rotary_factor", 1.0);
  if (share > 1.0) of_share.Bad("partial_rotary_factor", std::to_string(share), "at most 1");
  out.rotated = static_cast<int>(info.head_dim * share);
  if (out.rotated % 2 != 0 || out.rotated == 0) {
    of_share.Bad("partial_rotary_factor", std::to_string(share),
                 "one that gives an even number of channels");
  }
  ReadScaling(rope, info, &out);
  return out;
}

ModelInfo ReadInfo(const JsonFields& config) {
  const auto whole = [&](std::string_view key, int64_t most) {
    return static_cast<int>(config.NeededWhole(key, 1, most));
  };
  ModelInfo info;
  info.architecture = *config.String("model_type");
  info.layers = whole("num_hidden_layers", kMostLayers);
  info.hidden = whole("hidden_size", kMostWidth);
  info.ffn = whole("intermediate_size", kMostWidth);
  info.context = whole("max_position_embeddings", kMostContext);
  info.vocab = whole("vocab_size", kMostVocab);
  info.q_heads = whole("num_attention_heads", 4096);
  const auto kv_heads = config.Whole("num_key_value_heads", 1, info.q_heads);
  if (!kv_heads && info.architecture != "llama") {
    config.Bad("num_key_value_heads", "none", "a whole number");
  }
  info.kv_heads = static_cast<int>(kv_heads.value_or(info.q_heads));
  if (info.q_heads % info.kv_heads != 0) {
    config.Bad("num_key_value_heads", std::to_string(info.kv_heads),
               "a divisor of " + std::to_string(info.q_heads) + " query heads");
  }
  // What transformers takes where the file does not say.
  const int head_dim = info.architecture == "qwen3" ? 128 : info.hidden / info.q_heads;
  info.head_dim = static_cast<int>(config.Whole("head_dim", 1, kMostWidth).value_or(head_dim));
  // Kernels work on 16 channels at a time, and value groups of 128 must divide a head.
  const bool is_known =
      (info.head_dim % 16 == 0 && info.head_dim <= kKvGroup) || info.head_dim == 2 * kKvGroup;
  if (!is_known || info.head_dim == 0) {
    config.Refuse("head_dim", std::to_string(info.head_dim),
                  "a width of heads that is no multiple of 16 up to 128, nor 256");
  }
  if (info.hidden % 2 != 0)
    config.Refuse("hidden_size", std::to_string(info.hidden), "an odd width");
  return info;
}

}  // namespace

HfConfig ReadHfConfig(const JsonTree& tree, const std::string& file) {
  const JsonFields config(tree, file);
  const Family& family = FindFamily(config);
  RefuseVariants(config);
  const ModelInfo info = ReadInfo(config);
  RefuseWindows(config, info);
  LayerClass layer;
  layer.epsilon = static_cast<float>(config.Positive("rms_norm_eps", 1e-6));
  layer.qk_norm = family.qk_norm;
  layer.rope = ReadRope(config, info);
  HfConfig read;
  read.model = UniformConfig(info, std::move(layer));
  if (read.model.classes[0].rope.scaling == RopeScaling::kYarn) {
    const RopeConfig& rope = read.model.classes[0].rope;
    const double extended = rope.original_context * rope.factor;
    read.model.info.context =
        static_cast<int>(std::clamp(extended, double{1} * info.context, double{kMostContext}));
  }
  read.is_tied = config.Bool("tie_word_embeddings", false);
  return read;
}

}  // namespace quantspec
