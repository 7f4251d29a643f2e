#include "formats/hf_families.h"

#include <algorithm>
#include <iterator>
#include <string>

namespace quantspec {
namespace {

constexpr HfFamily kFamilies[] = {
    // Llama 2 and 3, SmolLM2, R1-Distill-Llama
    {.model_type = "llama", .has_heads_default = true},
    {.model_type = "mistral",
     .defaults = R"({"sliding_window": 4096})",
     .windows = HfWindows::kAll},
    {.model_type = "qwen2",
     .defaults = R"({"sliding_window": 4096, "max_window_layers": 28})",
     .windows = HfWindows::kSwitched},
    {.model_type = "qwen3",
     .defaults = R"({"head_dim": 128, "sliding_window": 4096, "max_window_layers": 28})",
     .windows = HfWindows::kSwitched,
     .qk_norm = QkNorm::kPerHead},
    // Phi-3, Phi-3.5, Phi-4, Phi-4-mini
    {.model_type = "phi3",
     .defaults = R"({"rms_norm_eps": 1e-5})",
     .windows = HfWindows::kAll,
     .has_heads_default = true},
    {.model_type = "smollm3",
     .defaults = R"({"rope_theta": 2000000.0, "no_rope_layer_interval": 4,
                     "tie_word_embeddings": true})",
     .windows = HfWindows::kSwitched,
     .has_rope_gaps = true},
    {.model_type = "granite", .has_heads_default = true, .has_multipliers = true},
    {.model_type = "ministral3",
     .defaults = R"({"head_dim": 128, "rms_norm_eps": 1e-5})",
     .windows = HfWindows::kAll,
     .has_query_growth = true},
    {.model_type = "olmo2",
     .defaults = R"({"rms_norm_eps": 1e-5})",
     .qk_norm = QkNorm::kWhole,
     .norms = NormPlace::kAfter,
     .has_heads_default = true},
    {.model_type = "olmo3",
     .defaults = R"({"rms_norm_eps": 1e-5, "rope_theta": 500000.0, "sliding_window": 4096,
                     "sliding_window_pattern": 4})",
     .windows = HfWindows::kPeriodic,
     .qk_norm = QkNorm::kWhole,
     .norms = NormPlace::kAfter,
     .has_heads_default = true,
     .has_local_rope = true},
    {.model_type = "gemma2",
     .defaults = R"({"head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
                     "query_pre_attn_scalar": 256, "sliding_window": 4096,
                     "sliding_window_pattern": 2, "attn_logit_softcapping": 50.0,
                     "final_logit_softcapping": 30.0, "tie_word_embeddings": true})",
     .windows = HfWindows::kPeriodic,
     .norms = NormPlace::kBoth,
     .norms_add_one = true,
     .has_gemma_scales = true},
    {.model_type = "gemma3_text",
     .defaults = R"({"vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4,
                     "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
                     "max_position_embeddings": 131072, "rope_theta": 1000000.0,
                     "rope_local_base_freq": 10000.0, "query_pre_attn_scalar": 256,
                     "sliding_window": 4096, "sliding_window_pattern": 6,
                     "tie_word_embeddings": true})",
     .windows = HfWindows::kPeriodic,
     .qk_norm = QkNorm::kPerHead,
     .norms = NormPlace::kBoth,
     .norms_add_one = true,
     .has_local_rope = true,
     .has_gemma_scales = true},
};

constexpr HfWrapper kWrappers[] = {{"gemma3", "gemma3_text"}, {"mistral3", "mistral"}};

struct Missing {
  std::string_view model_type, what;
};
constexpr Missing kMissing[] = {
    {"gemma", "the first Gemma"},
    {"gemma3n_text", "per-layer embeddings"},
    {"gemma4_text", "heads of several widths and layers that share keys and values"},
    {"mixtral", "a mixture of experts"},
    {"qwen2_moe", "a mixture of experts"},
    {"qwen3_moe", "a mixture of experts"},
    {"gpt_oss", "a mixture of experts"},
    {"granitemoe", "a mixture of experts"},
    {"granitemoehybrid", "linear attention"},
    {"deepseek_v3", "latent attention and a mixture of experts"},
    {"mistral4", "latent attention and a mixture of experts"},
    {"qwen3_5", "linear attention"},
    {"qwen3_5_text", "linear attention"},
    {"qwen3_next", "linear attention"},
};

}  // namespace

const HfFamily& FindHfFamily(const JsonFields& config) {
  const auto type = config.String("model_type");
  if (!type) {
    config.Bad("model_type", "none", "the model's family; is this the folder of a whole model?");
  }
  std::string known;
  for (const HfFamily& family : kFamilies) {
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

const HfWrapper* FindHfWrapper(std::string_view model_type) {
  const auto* const at =
      std::find_if(std::begin(kWrappers), std::end(kWrappers),
                   [&](const HfWrapper& wrapper) { return wrapper.model_type == model_type; });
  return at == std::end(kWrappers) ? nullptr : at;
}

JsonTree WithDefaults(const JsonTree& config, const HfFamily& family) {
  JsonTree whole = config;
  const JsonTree defaults = JsonTree::parse(family.defaults);
  for (const auto& [key, value] : defaults.items()) {
    if (!whole.contains(key)) whole[key] = value;
  }
  return whole;
}

}  // namespace quantspec
