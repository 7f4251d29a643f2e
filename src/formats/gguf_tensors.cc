#include "formats/gguf_tensors.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/check.h"
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

// Reads blocks piece by piece through memory of its own stack.
class BlockReader : public TensorReader {
 public:
  BlockReader(std::shared_ptr<const InputFile> file, const GgufTensor& tensor)
      : file_(std::move(file)),
        name_(Printable(tensor.name)),
        offset_(tensor.offset),
        columns_(tensor.shape.back()),
        type_(static_cast<GgmlType>(tensor.type)),
        info_(*FindGgmlType(tensor.type)) {}

  void Decode(int64_t first, Rows out) const override {
    QS_CHECK(out.columns == columns_ && (out.rows == 1 || out.stride == columns_));
    ForEachPiece(first, out.rows, [&](const std::byte* blocks, int64_t begin, int64_t count) {
      DecodeGgml(type_, blocks, count, out.data + begin);
    });
  }

  SourceCodes codes() const override {
    if (info_.is_affine4) return {4, kGroup};
    if (type_ == GgmlType::kQ8_0) return {8, kGroup};
    return {};
  }

  void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t* lower,
              GroupScale* scales) const override {
    ForEachPiece(first, rows, [&](const std::byte* blocks, int64_t begin, int64_t count) {
      GroupScale* of_piece = scales + begin / kGroup;
      if (info_.is_affine4) {
        ImportAffine4(type_, blocks, count, upper + begin, of_piece);
      } else {
        QS_CHECK(type_ == GgmlType::kQ8_0);
        ImportQ8_0(blocks, count, upper + begin, lower + begin, of_piece);
      }
    });
  }

 private:
  static constexpr int kGroup = 32;
  static constexpr int64_t kPieceBytes = 32 << 10;

  // use(blocks, begin, count): values [begin, begin + count) of the rows, as they are stored.
  template <typename Use>
  void ForEachPiece(int64_t first, int64_t rows, const Use& use) const {
    std::array<std::byte, kPieceBytes> memory;
    const int64_t piece_values = kPieceBytes / info_.block_bytes * info_.block_values;
    const int64_t values = rows * columns_;
    uint64_t at = offset_ + static_cast<uint64_t>(BytesOf(first * columns_));
    for (int64_t begin = 0; begin < values; begin += piece_values) {
      const int64_t count = std::min(piece_values, values - begin);
      const auto bytes = static_cast<size_t>(BytesOf(count));
      file_->Read(at, std::span(memory).first(bytes));
      if (!AllFinite(type_, memory.data(), count)) RefuseNotFinite();
      use(memory.data(), begin, count);
      at += bytes;
    }
  }
  int64_t BytesOf(int64_t values) const { return values / info_.block_values * info_.block_bytes; }
  [[noreturn]] void RefuseNotFinite() const {
    throw Error(ErrorKind::kCorrupt, file_->path() + ": tensor " + name_ +
                                         " holds a value or scale that is not finite (NaN or "
                                         "infinity); the file is damaged");
  }

  std::shared_ptr<const InputFile> file_;
  std::string name_;
  uint64_t offset_;
  int64_t columns_;
  GgmlType type_;
  const GgmlTypeInfo& info_;
};

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
  source.reader = std::make_shared<BlockReader>(file.file, tensor);
  return source;
}

}  // namespace quantspec
