#include "formats/gguf_tensors.h"

#include "base/check.h"
#include "formats/block_reader.h"
#include "formats/tensor_names.h"
#include "io/byte_cursor.h"
#include "quant/ggml_blocks.h"

namespace quantspec {
namespace {

constexpr TensorNamePair kModelNames[] = {
    {"token_embd", "embedding"}, {"output_norm", "final_norm"}, {"output", "head"}};
constexpr TensorNamePair kLayerNames[] = {
    {"attn_norm", "attn_norm"},     {"post_attention_norm", "attn_post_norm"},
    {"attn_q", "attn.q"},           {"attn_k", "attn.k"},
    {"attn_v", "attn.v"},           {"attn_qkv", "attn.qkv"},
    {"attn_q_norm", "attn.q_norm"}, {"attn_k_norm", "attn.k_norm"},
    {"attn_output", "attn.o"},      {"ffn_norm", "ffn_norm"},
    {"ffn_gate", "ffn.gate"},       {"post_ffw_norm", "ffn_post_norm"},
    {"ffn_up", "ffn.up"},           {"ffn_down", "ffn.down"}};
constexpr TensorNames kNames{"blk.", kModelNames, kLayerNames};

// Tables of RoPE: the first ones become part of the configuration, the others repeat it.
bool IsIgnored(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_short.weight" ||
         name == "rope_factors_long.weight" || name.ends_with(".rope_freqs.weight") ||
         name.ends_with(".attn_rot_embd.weight") ||
         name.ends_with(".attention.rotary_emb.inv_freq");
}

}  // namespace

std::optional<std::string> NameOfGguf(std::string_view name) {
  if (IsIgnored(name)) return "";
  return kNames.ToOurs(name);
}

std::string GgufNameOf(std::string_view name) { return kNames.ToTheirs(name); }

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
