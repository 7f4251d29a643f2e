// What sets the families of Hugging Face folders apart, as data.
#pragma once

#include <cstdint>
#include <string_view>

#include "formats/json_tree.h"
#include "formats/model_config.h"

namespace quantspec {

// Which layers have a sliding window, where "layer_types" does not say.
enum class HfWindows : uint8_t {
  kNone,
  kAll,       // all, if "sliding_window" says how large
  kSwitched,  // those from "max_window_layers" on, if "use_sliding_window" says so
  kPeriodic,  // all but every last of "sliding_window_pattern"
};

struct HfFamily {
  std::string_view model_type;
  // What transformers takes where the file does not say: an object.
  std::string_view defaults = "{}";
  HfWindows windows = HfWindows::kNone;
  QkNorm qk_norm = QkNorm::kNone;
  NormPlace norms = NormPlace::kBefore;
  bool norms_add_one = false;      // to their weight
  bool has_heads_default = false;  // without "num_key_value_heads" every head has its own
  // Layers with windows have RoPE without scaling, of base "rope_local_base_freq" if it is there.
  bool has_local_rope = false;
  bool has_rope_gaps = false;     // layers without RoPE: "no_rope_layers"
  bool has_query_growth = false;  // "llama_4_scaling_beta"
  bool has_multipliers = false;   // "embedding_multiplier" and others
  bool has_gemma_scales = false;  // sqrt(hidden) on embeddings, "query_pre_attn_scalar", soft caps
};

// A checkpoint of a model of text and something else, whose text part is nested.
struct HfWrapper {
  std::string_view model_type;
  std::string_view text_type;  // of a "text_config" that has no "model_type"
};

// The family of `config`, an object of model_type. Throws Error: kCorrupt without one, kUnsupported
// for a type that this build does not know, by the name of what it needs.
const HfFamily& FindHfFamily(const JsonFields& config);
// Null for any other type.
const HfWrapper* FindHfWrapper(std::string_view model_type);

// `config` with the family's defaults where it has no such key.
JsonTree WithDefaults(const JsonTree& config, const HfFamily& family);

}  // namespace quantspec
