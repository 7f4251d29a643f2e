// Where weights come from: tensors of a GGUF file, or random ones of a known shape. Either way a
// row is a stretch of GGML blocks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "io/gguf.h"
#include "model/config.h"
#include "quant/ggml_blocks.h"

namespace quantspec {

struct SourceTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<int64_t> shape;  // slowest first; one or two dimensions
  const std::byte* data = nullptr;
  size_t row_bytes = 0;
  // Random tensors share one pool of blocks: rows start at multiples of this many bytes, modulo
  // `pool_rows`. 0 = a plain array of rows.
  int64_t pool_rows = 0;

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t columns() const { return shape.back(); }
  const std::byte* Row(int64_t row) const {
    return data + static_cast<size_t>(pool_rows == 0 ? row : row % pool_rows) * row_bytes;
  }
};

class TensorSource {
 public:
  // Views the tensors of `file`, which must outlive the source.
  explicit TensorSource(const Gguf& file);
  // Random 4-bit weights (Q4_0) of this shape, norms of one, a tied head.
  explicit TensorSource(const ModelConfig& config);

  const SourceTensor* Find(std::string_view name) const;  // null if absent
  const std::vector<SourceTensor>& tensors() const { return tensors_; }
  // For messages.
  const std::string& name() const { return name_; }

 private:
  void AddRandom(const std::string& name, int64_t rows, int64_t columns);

  // Embeddings are looked up in the table itself, so it cannot share the pool.
  void SpreadEmbedding(SourceTensor& table);

  std::string name_;
  std::vector<SourceTensor> tensors_;  // sorted by name
  Buffer pool_;
  Buffer ones_;
  Buffer embedding_;
};

}  // namespace quantspec
