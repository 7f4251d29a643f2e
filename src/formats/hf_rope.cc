#include "formats/hf_rope.h"

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model_limits.h"

namespace quantspec {
namespace {

const JsonTree& Nothing() {
  static const JsonTree nothing = JsonTree::object();
  return nothing;
}

// What the file says of RoPE for one kind of layers.
struct Source {
  const JsonTree* tree = &Nothing();
  std::string key;         // in the file
  bool has_kinds = false;  // it says so for each kind by itself
};

Source FindSource(const JsonFields& config, bool has_window) {
  Source source;
  source.key = config.Find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
  const JsonTree* tree = config.Find(source.key);
  if (tree == nullptr) return source;
  source.tree = tree;
  if (!tree->is_object() ||
      !(tree->contains("full_attention") || tree->contains("sliding_attention"))) {
    return source;
  }
  const std::string kind = has_window ? "sliding_attention" : "full_attention";
  source.key += ": " + kind;
  source.has_kinds = true;
  const auto at = tree->find(kind);
  source.tree = at == tree->end() || at->is_null() ? &Nothing() : &*at;
  return source;
}

int OriginalContext(const JsonFields& rope, const ModelInfo& info) {
  return static_cast<int>(
      rope.Whole("original_max_position_embeddings", 1, kMostContext).value_or(info.context));
}

double Factor(const JsonFields& rope) {
  if (rope.Find("factor") == nullptr) rope.Bad("factor", "none", "a number above 0");
  return rope.Positive("factor", 1.0);
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

void ReadLlama3(const JsonFields& rope, const ModelInfo& info, RopeConfig* out) {
  out->scaling = RopeScaling::kLlama3;
  out->factor = Factor(rope);
  out->original_context = OriginalContext(rope, info);
  out->low_frequency = rope.Positive("low_freq_factor", 1.0);
  out->high_frequency = rope.Positive("high_freq_factor", 4.0);
  if (out->high_frequency <= out->low_frequency) {
    rope.Bad("high_freq_factor", std::to_string(out->high_frequency), "more than low_freq_factor");
  }
}

void ReadYarn(const JsonFields& rope, const ModelInfo& info, RopeConfig* out) {
  out->scaling = RopeScaling::kYarn;
  out->original_context = OriginalContext(rope, info);
  out->factor = Factor(rope);
  out->beta_fast = rope.Positive("beta_fast", 32.0);
  out->beta_slow = rope.Positive("beta_slow", 1.0);
  out->attention_factor = YarnAttentionFactor(rope, out->factor);
  if (!rope.Bool("truncate", true)) rope.Refuse("truncate", "false", "YaRN without rounding");
}

std::vector<float> Divisors(const JsonFields& rope, std::string_view key, int rotated) {
  const JsonTree* list = rope.Find(key);
  const std::string expected = std::to_string(rotated / 2) + " numbers above 0";
  const bool is_list = list != nullptr && list->is_array();
  if (!is_list || list->size() != static_cast<size_t>(rotated / 2)) {
    rope.Bad(key, is_list ? std::to_string(list->size()) + " elements" : "no list", expected);
  }
  std::vector<float> divisors;
  for (const JsonTree& element : *list) {
    const float divisor = element.is_number() ? element.get<float>() : 0.0f;
    if (!(divisor > 0) || !std::isfinite(divisor)) rope.Bad(key, Shown(element), expected);
    divisors.push_back(divisor);
  }
  return divisors;
}

void ReadLongRope(const JsonFields& config, const JsonFields& rope, const ModelInfo& info,
                  RopeConfig* out) {
  out->scaling = RopeScaling::kLongRope;
  // Phi's own entry goes before the scaling's.
  const bool is_outside = config.Find("original_max_position_embeddings") != nullptr;
  out->original_context = OriginalContext(is_outside ? config : rope, info);
  out->factor = rope.Positive("factor", double{1} * info.context / out->original_context);
  const double whole = out->factor <= 1.0 || out->original_context == 1
                           ? 1.0
                           : std::sqrt(1 + std::log(out->factor) / std::log(out->original_context));
  out->attention_factor = rope.Positive("attention_factor", whole);
  out->divisors = Divisors(rope, "short_factor", out->rotated);
  out->long_divisors = Divisors(rope, "long_factor", out->rotated);
}

void ReadScaling(const JsonFields& config, const JsonFields& rope, const ModelInfo& info,
                 RopeConfig* out) {
  std::string type = rope.String("rope_type").value_or("");
  if (type.empty()) type = rope.String("type").value_or("default");
  // Names that longrope had.
  if (type == "su" || (type == "yarn" && rope.Find("long_factor") != nullptr)) type = "longrope";
  if (type == "default" || type == "none") return;
  if (type == "linear") {
    out->scaling = RopeScaling::kLinear;
    out->factor = Factor(rope);
  } else if (type == "llama3") {
    ReadLlama3(rope, info, out);
  } else if (type == "yarn") {
    ReadYarn(rope, info, out);
  } else if (type == "longrope") {
    ReadLongRope(config, rope, info, out);
  } else {
    rope.Refuse("rope_type", "\"" + type + "\"",
                "this scaling of RoPE (known: default, linear, llama3, yarn, longrope)");
  }
}

}  // namespace

RopeConfig ReadHfRope(const JsonFields& config, const HfFamily& family, const ModelInfo& info,
                      bool has_window) {
  const Source source = FindSource(config, has_window);
  const JsonFields rope(*source.tree, config.where() + ": " + source.key);
  const bool is_local = has_window && family.has_local_rope && !source.has_kinds;
  RopeConfig out;
  out.layout = RopeLayout::kHalves;
  const char* const local_base = "rope_local_base_freq";
  const bool has_local_base = has_window && config.Find(local_base) != nullptr;
  out.base = config.Positive(has_local_base ? local_base : "rope_theta", 10000.0);
  if (!is_local) out.base = rope.Positive("rope_theta", out.base);
  const JsonFields& of_share = rope.Find("partial_rotary_factor") != nullptr ? rope : config;
  const double share = of_share.Positive("partial_rotary_factor", 1.0);
  if (share > 1.0) of_share.Bad("partial_rotary_factor", std::to_string(share), "at most 1");
  out.rotated = static_cast<int>(info.head_dim * share);
  if (out.rotated % 2 != 0 || out.rotated == 0) {
    of_share.Bad("partial_rotary_factor", std::to_string(share),
                 "one that gives an even number of channels");
  }
  if (!is_local) ReadScaling(config, rope, info, &out);
  return out;
}

QueryGrowth ReadHfQueryGrowth(const JsonFields& config, const ModelInfo& info) {
  const Source source = FindSource(config, false);
  const JsonFields rope(*source.tree, config.where() + ": " + source.key);
  QueryGrowth growth;
  growth.beta = rope.Number("llama_4_scaling_beta").value_or(0.0);
  if (growth.beta < 0 || growth.beta > 1000) {
    rope.Bad("llama_4_scaling_beta", std::to_string(growth.beta), "0 to 1000");
  }
  growth.period = OriginalContext(rope, info);
  return growth;
}

}  // namespace quantspec
