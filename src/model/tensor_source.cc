#include "model/tensor_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int64_t kPoolRows = 509;  // prime, so that neighbouring matrices do not line up

bool ByName(const SourceTensor& a, const SourceTensor& b) { return a.name < b.name; }

}  // namespace

TensorSource::TensorSource(const Gguf& file) : name_(file.name()) {
  for (const GgufTensor& tensor : file.tensors()) {
    const GgmlTypeInfo* type = FindGgmlType(tensor.type);
    QS_CHECK(type != nullptr);  // the parser refused unknown types
    SourceTensor source;
    source.name = tensor.name;
    source.type = static_cast<GgmlType>(tensor.type);
    source.shape = tensor.shape;
    source.data = tensor.data.data();
    source.row_bytes =
        static_cast<size_t>(tensor.shape.back() / type->block_values * type->block_bytes);
    tensors_.push_back(std::move(source));
  }
  std::sort(tensors_.begin(), tensors_.end(), ByName);
}

TensorSource::TensorSource(const ModelConfig& config) : name_(config.info.name) {
  const ModelInfo& info = config.info;
  const int64_t widest = std::max({info.hidden, info.ffn, config.QueryWidth()});
  const GgmlTypeInfo& type = *FindGgmlType(static_cast<uint32_t>(GgmlType::kQ4_0));
  const auto row_bytes = static_cast<size_t>(CeilDiv(widest, type.block_values) * type.block_bytes);
  pool_ = Buffer(row_bytes * kPoolRows);
  const float scale = 0.25f / std::sqrt(static_cast<float>(info.hidden));
  for (size_t block = 0; block * static_cast<size_t>(type.block_bytes) < pool_.bytes(); ++block) {
    std::byte* at = pool_.data() + block * static_cast<size_t>(type.block_bytes);
    const F16 d = F16FromFloat(scale);
    std::memcpy(at, &d, sizeof(d));
    for (uint64_t i = 0; i < 2; ++i) {
      const uint64_t codes = RandomBits(1, block, i);
      std::memcpy(at + 2 + 8 * i, &codes, 8);
    }
  }
  ones_ = Buffer(static_cast<size_t>(widest) * sizeof(float));
  std::fill_n(ones_.As<float>(), widest, 1.0f);
  AddRandom("token_embd.weight", info.vocab, info.hidden);
  SpreadEmbedding(tensors_.back());
  AddRandom("output_norm.weight", 0, info.hidden);
  for (int layer = 0; layer < info.layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    AddRandom(prefix + "attn_norm.weight", 0, info.hidden);
    AddRandom(prefix + "attn_q.weight", config.QueryWidth(), info.hidden);
    AddRandom(prefix + "attn_k.weight", config.KvWidth(), info.hidden);
    AddRandom(prefix + "attn_v.weight", config.KvWidth(), info.hidden);
    AddRandom(prefix + "attn_output.weight", info.hidden, config.QueryWidth());
    AddRandom(prefix + "ffn_norm.weight", 0, info.hidden);
    AddRandom(prefix + "ffn_gate.weight", info.ffn, info.hidden);
    AddRandom(prefix + "ffn_up.weight", info.ffn, info.hidden);
    AddRandom(prefix + "ffn_down.weight", info.hidden, info.ffn);
  }
  std::sort(tensors_.begin(), tensors_.end(), ByName);
}

void TensorSource::AddRandom(const std::string& name, int64_t rows, int64_t columns) {
  SourceTensor source;
  source.name = name;
  if (rows == 0) {
    source.shape = {columns};
    source.data = ones_.data();
    source.row_bytes = static_cast<size_t>(columns) * sizeof(float);
  } else {
    const GgmlTypeInfo& type = *FindGgmlType(static_cast<uint32_t>(GgmlType::kQ4_0));
    source.type = GgmlType::kQ4_0;
    source.shape = {rows, columns};
    source.data = pool_.data();
    source.row_bytes = static_cast<size_t>(columns / type.block_values * type.block_bytes);
    source.pool_rows = kPoolRows;
  }
  tensors_.push_back(std::move(source));
}

void TensorSource::SpreadEmbedding(SourceTensor& table) {
  embedding_ = Buffer(static_cast<size_t>(table.rows()) * table.row_bytes);
  for (int64_t row = 0; row < table.rows(); ++row) {
    std::memcpy(embedding_.data() + static_cast<size_t>(row) * table.row_bytes, table.Row(row),
                table.row_bytes);
  }
  table.data = embedding_.data();
  table.pool_rows = 0;
}

const SourceTensor* TensorSource::Find(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const SourceTensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

}  // namespace quantspec
