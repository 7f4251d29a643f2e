#include "formats/gguf_tensors.h"

#include <algorithm>

#include "base/check.h"
#include "formats/block_reader.h"
#include "io/byte_cursor.h"
#include "quant/ggml_blocks.h"

namespace quantspec {
namespace {

struct NamePair {
  std::string_view gguf, ours;
};
constexpr NamePair kModelNames[] = {
    {"token_embd", "embedding"}, {"output_norm", "final_norm"}, {"output", "head"}};
constexpr NamePair kLayerNames[] = {
    {"attn_norm", "attn_norm"}, {"attn_q", "attn.q"},           {"attn_k", "attn.k"},
    {"attn_v", "attn.v"},       {"attn_q_norm", "attn.q_norm"}, {"attn_k_norm", "attn.k_norm"},
    {"attn_output", "attn.o"},  {"ffn_norm", "ffn_norm"},       {"ffn_gate", "ffn.gate"},
    {"ffn_up", "ffn.up"},       {"ffn_down", "ffn.down"}};
constexpr std::string_view kWeight = ".weight", kBias = ".bias";
constexpr std::string_view kGgufLayer = "blk.", kOurLayer = "layers.";

template <size_t N>
std::string_view Translate(const NamePair (&names)[N], std::string_view from,
                           std::string_view NamePair::*source, std::string_view NamePair::*target) {
  for (const NamePair& pair : names) {
    if (pair.*source == from) return pair.*target;
  }
  return {};
}

// Takes "3." from "3.attn_q.weight" and gives "3"; empty if there is none.
std::string_view TakeLayer(std::string_view& name) {
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const std::string_view layer = name.substr(0, digits);
  if (layer.empty() || digits == name.size() || name[digits] != '.') return {};
  name.remove_prefix(digits + 1);
  return layer;
}

// Tables of RoPE: rope_freqs.weight becomes part of the configuration, the others repeat it.
bool IsIgnored(std::string_view name) {
  return name == "rope_freqs.weight" || name.ends_with(".rope_freqs.weight") ||
         name.ends_with(".attn_rot_embd.weight") ||
         name.ends_with(".attention.rotary_emb.inv_freq");
}

}  // namespace

std::optional<std::string> NameOfGguf(std::string_view name) {
  if (IsIgnored(name)) return "";
  const bool is_bias = name.ends_with(kBias);
  if (!is_bias && !name.ends_with(kWeight)) return std::nullopt;
  name.remove_suffix(is_bias ? kBias.size() : kWeight.size());
  std::string ours;
  if (name.starts_with(kGgufLayer)) {
    name.remove_prefix(kGgufLayer.size());
    const std::string_view layer = TakeLayer(name);
    const std::string_view part = Translate(kLayerNames, name, &NamePair::gguf, &NamePair::ours);
    if (layer.empty() || part.empty()) return std::nullopt;
    ours.append(kOurLayer).append(layer).append(".").append(part);
  } else {
    ours = Translate(kModelNames, name, &NamePair::gguf, &NamePair::ours);
    if (ours.empty()) return std::nullopt;
  }
  return is_bias ? ours.append(kBias) : ours;
}

std::string GgufNameOf(std::string_view name) {
  const bool is_bias = name.ends_with(kBias);
  if (is_bias) name.remove_suffix(kBias.size());
  std::string theirs;
  if (name.starts_with(kOurLayer)) {
    name.remove_prefix(kOurLayer.size());
    theirs.append(kGgufLayer).append(TakeLayer(name)).append(".");
    theirs.append(Translate(kLayerNames, name, &NamePair::ours, &NamePair::gguf));
  } else {
    theirs = Translate(kModelNames, name, &NamePair::ours, &NamePair::gguf);
  }
  return theirs.append(is_bias ? kBias : kWeight);
}

SourceTensor MakeGgufTensor(const GgufFile& file, const GgufTensor& tensor) {
  const std::optional<std::string> name = NameOfGguf(tensor.name);
  if (!name) {
    throw Error(ErrorKind::kUnsupported, file.gguf.name() + ": tensor " + Printable(tensor.name) +
                                             " is none that this build knows; this variant of the "
                                             "model is not supported");
  }
  const GgmlTypeInfo* type = FindGgmlType(tensor.type);
  QS_CHECK(type != nullptr);  // the parser refused unknown types
  SourceTensor source;
  source.name = *name;
  source.source_name = tensor.name;
  source.stored_as = type->name;
  source.shape = tensor.shape;
  source.bytes = tensor.bytes;
  source.reader = MakeBlockReader(
      file.file, {Printable(tensor.name), tensor.type, tensor.offset, tensor.shape.back()});
  return source;
}

}  // namespace quantspec
