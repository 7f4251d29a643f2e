#include "formats/hf_tensors.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "formats/block_reader.h"
#include "io/byte_cursor.h"
#include "quant/ggml_blocks.h"

namespace quantspec {
namespace {

struct NamePair {
  std::string_view theirs, ours;
};
constexpr NamePair kModelNames[] = {
    {"model.embed_tokens", "embedding"}, {"model.norm", "final_norm"}, {"lm_head", "head"}};
constexpr NamePair kLayerNames[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn.q"},
    {"self_attn.k_proj", "attn.k"},      {"self_attn.v_proj", "attn.v"},
    {"self_attn.q_norm", "attn.q_norm"}, {"self_attn.k_norm", "attn.k_norm"},
    {"self_attn.o_proj", "attn.o"},      {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn.gate"},       {"mlp.up_proj", "ffn.up"},
    {"mlp.down_proj", "ffn.down"}};
constexpr std::string_view kWeight = ".weight", kBias = ".bias";
constexpr std::string_view kTheirLayer = "model.layers.", kOurLayer = "layers.";

template <size_t N>
std::string_view Translate(const NamePair (&names)[N], std::string_view from,
                           std::string_view NamePair::*source, std::string_view NamePair::*target) {
  for (const NamePair& pair : names) {
    if (pair.*source == from) return pair.*target;
  }
  return {};
}

// Takes "3." from "3.mlp.up_proj" and gives "3"; empty if there is none.
std::string_view TakeLayer(std::string_view& name) {
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const std::string_view layer = name.substr(0, digits);
  const bool has_zero_in_front = layer.size() > 1 && layer[0] == '0';
  if (layer.empty() || has_zero_in_front || digits == name.size() || name[digits] != '.') return {};
  name.remove_prefix(digits + 1);
  return layer;
}

std::optional<GgmlType> TypeOf(StDtype dtype) {
  switch (dtype) {
    case StDtype::kF32:
      return GgmlType::kF32;
    case StDtype::kF16:
      return GgmlType::kF16;
    case StDtype::kBF16:
      return GgmlType::kBF16;
    default:
      return std::nullopt;
  }
}

std::vector<int64_t> ShapeOf(const SafetensorsFile& file, const StTensor& tensor) {
  std::vector<int64_t> shape;
  for (const uint64_t size : file.tensors.ShapeOf(tensor)) {
    if (size == 0 || size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      throw Error(ErrorKind::kCorrupt, file.tensors.name() + ": tensor " + Printable(tensor.name) +
                                           ": found a side of " + std::to_string(size) +
                                           " values, expected 1 or more; the file is damaged");
    }
    shape.push_back(static_cast<int64_t>(size));
  }
  if (shape.empty()) shape.push_back(1);
  return shape;
}

}  // namespace

std::optional<std::string> NameOfHf(std::string_view name) {
  if (name.ends_with("rotary_emb.inv_freq")) return "";
  const bool is_bias = name.ends_with(kBias);
  if (!is_bias && !name.ends_with(kWeight)) return std::nullopt;
  name.remove_suffix(is_bias ? kBias.size() : kWeight.size());
  std::string ours;
  if (name.starts_with(kTheirLayer)) {
    name.remove_prefix(kTheirLayer.size());
    const std::string_view layer = TakeLayer(name);
    const std::string_view part = Translate(kLayerNames, name, &NamePair::theirs, &NamePair::ours);
    if (layer.empty() || part.empty()) return std::nullopt;
    ours.append(kOurLayer).append(layer).append(".").append(part);
  } else {
    ours = Translate(kModelNames, name, &NamePair::theirs, &NamePair::ours);
    if (ours.empty()) return std::nullopt;
  }
  return is_bias ? ours.append(kBias) : ours;
}

std::string HfNameOf(std::string_view name) {
  const bool is_bias = name.ends_with(kBias);
  if (is_bias) name.remove_suffix(kBias.size());
  std::string theirs;
  if (name.starts_with(kOurLayer)) {
    name.remove_prefix(kOurLayer.size());
    theirs.append(kTheirLayer).append(TakeLayer(name)).append(".");
    theirs.append(Translate(kLayerNames, name, &NamePair::ours, &NamePair::theirs));
  } else {
    theirs = Translate(kModelNames, name, &NamePair::ours, &NamePair::theirs);
  }
  return theirs.append(is_bias ? kBias : kWeight);
}

SourceTensor MakeHfTensor(const SafetensorsFile& file, const StTensor& tensor) {
  const std::string where = file.tensors.name() + ": tensor " + Printable(tensor.name);
  const std::optional<std::string> name = NameOfHf(tensor.name);
  if (!name) {
    throw Error(ErrorKind::kUnsupported,
                where +
                    " is none that this build knows; this variant of the model, or this way of "
                    "quantising it, is not supported");
  }
  const std::optional<GgmlType> type = TypeOf(tensor.dtype);
  if (!type && !name->empty()) {
    throw Error(ErrorKind::kUnsupported, where + ": found dtype " +
                                             std::string(NameOf(tensor.dtype)) +
                                             ", expected F32, F16 or BF16; values of this kind are "
                                             "not supported");
  }
  SourceTensor source;
  source.name = *name;
  source.source_name = tensor.name;
  source.stored_as = NameOf(tensor.dtype);
  source.shape = ShapeOf(file, tensor);
  source.bytes = tensor.bytes;
  if (!type) return source;
  source.reader = MakeBlockReader(file.file, {Printable(tensor.name), static_cast<uint32_t>(*type),
                                              tensor.offset, source.shape.back()});
  return source;
}

}  // namespace quantspec
