#include "formats/hf_tensors.h"

#include <cstddef>
#include <limits>
#include <utility>

#include "formats/block_reader.h"
#include "formats/tensor_names.h"
#include "io/byte_cursor.h"
#include "quant/ggml_blocks.h"

namespace quantspec {
namespace {

constexpr TensorNamePair kModelNames[] = {
    {"model.embed_tokens", "embedding"}, {"model.norm", "final_norm"}, {"lm_head", "head"}};
// Of layers whose norms stand before their halves.
constexpr TensorNamePair kLayerNames[] = {
    {"input_layernorm", "attn_norm"},    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn.q"},      {"self_attn.k_proj", "attn.k"},
    {"self_attn.v_proj", "attn.v"},      {"self_attn.qkv_proj", "attn.qkv"},
    {"self_attn.q_norm", "attn.q_norm"}, {"self_attn.k_norm", "attn.k_norm"},
    {"self_attn.o_proj", "attn.o"},      {"mlp.gate_proj", "ffn.gate"},
    {"mlp.up_proj", "ffn.up"},           {"mlp.gate_up_proj", "ffn.gate_up"},
    {"mlp.down_proj", "ffn.down"}};
// Of layers that have norms behind them.
constexpr TensorNamePair kPostNormNames[] = {{"input_layernorm", "attn_norm"},
                                             {"post_attention_layernorm", "attn_post_norm"},
                                             {"pre_feedforward_layernorm", "ffn_norm"},
                                             {"post_feedforward_layernorm", "ffn_post_norm"},
                                             {"self_attn.q_proj", "attn.q"},
                                             {"self_attn.k_proj", "attn.k"},
                                             {"self_attn.v_proj", "attn.v"},
                                             {"self_attn.q_norm", "attn.q_norm"},
                                             {"self_attn.k_norm", "attn.k_norm"},
                                             {"self_attn.o_proj", "attn.o"},
                                             {"mlp.gate_proj", "ffn.gate"},
                                             {"mlp.up_proj", "ffn.up"},
                                             {"mlp.down_proj", "ffn.down"}};

constexpr std::string_view kTextModel = "model.language_model.";  // of transformers 5
constexpr std::string_view kOldText = "language_model.";          // of transformers 4

// Other parts of checkpoints that have a text part.
bool IsOtherPart(std::string_view name) {
  if (name.starts_with("model.")) name.remove_prefix(6);
  return name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.");
}

// The name that a folder of the text part alone would have.
std::string WithoutPrefix(std::string_view name) {
  if (name.starts_with(kTextModel)) {
    return "model." + std::string(name.substr(kTextModel.size()));
  }
  if (name.starts_with(kOldText)) name.remove_prefix(kOldText.size());
  return std::string(name);
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

HfNames::HfNames(NormPlace norms, bool is_nested)
    : names_{"model.layers.", kModelNames, kLayerNames}, is_nested_(is_nested) {
  if (norms != NormPlace::kBefore) names_.of_layer = kPostNormNames;
}

std::optional<std::string> HfNames::ToOurs(std::string_view name) const {
  if (name.ends_with("rotary_emb.inv_freq")) return "";
  if (!is_nested_) return names_.ToOurs(name);
  if (IsOtherPart(name)) return "";
  return names_.ToOurs(WithoutPrefix(name));
}

std::string HfNames::ToTheirs(std::string_view name) const {
  const std::string theirs = names_.ToTheirs(name);
  if (!is_nested_ || !theirs.starts_with("model.")) return theirs;
  return std::string(kTextModel) + theirs.substr(6);
}

SourceTensor MakeHfTensor(const SafetensorsFile& file, const StTensor& tensor,
                          const HfNames& names) {
  const std::string where = file.tensors.name() + ": tensor " + Printable(tensor.name);
  const std::optional<std::string> name = names.ToOurs(tensor.name);
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
