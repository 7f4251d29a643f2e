#include "formats/random_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/buffer.h"
#include "base/random.h"
#include "quant/ggml_blocks.h"

namespace quantspec {
namespace {

constexpr int64_t kPoolRows = 509;  // prime, so that neighbouring matrices do not line up
constexpr int64_t kBlockValues = 32, kBlockBytes = 18;  // of Q4_0

// Rows that all matrices share: a row of theirs is the beginning of one of these.
struct Pool {
  Pool(int64_t widest, float scale)
      : row_bytes(CeilDiv(widest, kBlockValues) * kBlockBytes),
        memory(static_cast<size_t>(row_bytes * kPoolRows)) {
    const F16 d = F16FromFloat(scale);
    for (size_t block = 0; block * kBlockBytes < memory.bytes(); ++block) {
      std::byte* at = memory.data() + block * kBlockBytes;
      std::memcpy(at, &d, sizeof(d));
      for (uint64_t i = 0; i < 2; ++i) {
        const uint64_t codes = RandomBits(1, block, i);
        std::memcpy(at + 2 + 8 * i, &codes, 8);
      }
    }
  }
  int64_t row_bytes;
  Buffer memory;
};

class RandomMatrix : public TensorReader {
 public:
  RandomMatrix(std::shared_ptr<const Pool> pool, int64_t columns)
      : pool_(std::move(pool)), columns_(columns) {}

  void Decode(int64_t first, Rows out) const override {
    for (int64_t row = 0; row < out.rows; ++row) {
      DecodeGgml(GgmlType::kQ4_0, Blocks(first + row), columns_, out.Row(row));
    }
  }
  SourceCodes codes() const override { return {4, static_cast<int>(kBlockValues)}; }
  void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t*,
              GroupScale* scales) const override {
    for (int64_t row = 0; row < rows; ++row) {
      ImportAffine4(GgmlType::kQ4_0, Blocks(first + row), columns_, upper + row * columns_,
                    scales + row * columns_ / kBlockValues);
    }
  }

 private:
  // Rows of a narrow matrix stand close together, as in a file.
  const std::byte* Blocks(int64_t row) const {
    return pool_->memory.data() + row % kPoolRows * (columns_ / kBlockValues * kBlockBytes);
  }

  std::shared_ptr<const Pool> pool_;
  int64_t columns_;
};

class Ones : public TensorReader {
 public:
  void Decode(int64_t, Rows out) const override { std::fill_n(out.data, out.columns, 1.0f); }
};

// Adds tensors of a model by their names.
class Builder {
 public:
  explicit Builder(LoadedModel& model) : model_(model) {
    const ModelConfig& config = model.config;
    int64_t widest = config.info.hidden;
    for (const LayerClass& layer : config.classes) {
      widest = std::max({widest, int64_t{layer.ffn}, int64_t{layer.QueryWidth()}});
    }
    pool_ =
        std::make_shared<Pool>(widest, 0.25f / std::sqrt(static_cast<float>(config.info.hidden)));
  }

  void Matrix(const std::string& name, int64_t rows, int64_t columns) {
    const uint64_t bytes = static_cast<uint64_t>(rows * (columns / kBlockValues) * kBlockBytes);
    model_.tensors.push_back({name,
                              name,
                              "Q4_0",
                              {rows, columns},
                              bytes,
                              std::make_shared<RandomMatrix>(pool_, columns)});
  }
  void Norm(const std::string& name, int64_t columns) {
    const uint64_t bytes = static_cast<uint64_t>(columns) * sizeof(float);
    model_.tensors.push_back({name, name, "F32", {columns}, bytes, std::make_shared<Ones>()});
  }

 private:
  LoadedModel& model_;
  std::shared_ptr<const Pool> pool_;
};

void AddLayer(const std::string& prefix, int64_t hidden, const LayerClass& layer,
              Builder& builder) {
  if (layer.norms != NormPlace::kAfter) {
    builder.Norm(prefix + "attn_norm", hidden);
    builder.Norm(prefix + "ffn_norm", hidden);
  }
  if (layer.norms != NormPlace::kBefore) {
    builder.Norm(prefix + "attn_post_norm", hidden);
    builder.Norm(prefix + "ffn_post_norm", hidden);
  }
  builder.Matrix(prefix + "attn.q", layer.QueryWidth(), hidden);
  builder.Matrix(prefix + "attn.k", layer.KvWidth(), hidden);
  builder.Matrix(prefix + "attn.v", layer.KvWidth(), hidden);
  builder.Matrix(prefix + "attn.o", hidden, layer.QueryWidth());
  if (layer.qk_norm != QkNorm::kNone) {
    const bool is_whole = layer.qk_norm == QkNorm::kWhole;
    builder.Norm(prefix + "attn.q_norm", is_whole ? layer.QueryWidth() : layer.head_dim);
    builder.Norm(prefix + "attn.k_norm", is_whole ? layer.KvWidth() : layer.head_dim);
  }
  builder.Matrix(prefix + "ffn.gate", layer.ffn, hidden);
  builder.Matrix(prefix + "ffn.up", layer.ffn, hidden);
  builder.Matrix(prefix + "ffn.down", hidden, layer.ffn);
}

struct Shape {
  std::string_view name;
  std::string_view architecture;
  RopeLayout rope;
  int layers, hidden, ffn, q_heads, kv_heads, head_dim, vocab, context;
  double rope_base;
};
constexpr Shape kShapes[] = {
    {"smollm2-135m", "llama", RopeLayout::kPairs, 30, 576, 1536, 9, 3, 64, 49152, 8192, 1e5},
    {"llama-3.2-1b", "llama", RopeLayout::kPairs, 16, 2048, 8192, 32, 8, 64, 128256, 131072, 5e5},
    {"qwen2.5-1.5b", "qwen2", RopeLayout::kHalves, 28, 1536, 8960, 12, 2, 128, 151936, 32768, 1e6},
    {"llama-2-7b", "llama", RopeLayout::kPairs, 32, 4096, 11008, 32, 32, 128, 32000, 131072, 1e4},
};

}  // namespace

LoadedModel RandomModel(const ModelConfig& config) {
  LoadedModel model;
  model.name = config.info.name;
  model.config = config;
  model.no_tokenizer.emplace(ErrorKind::kUnsupported,
                             "random weights have no tokenizer; use a model file");
  const int64_t hidden = config.info.hidden;
  Builder builder(model);
  builder.Matrix("embedding", config.info.vocab, hidden);
  builder.Norm("final_norm", hidden);
  for (int layer = 0; layer < config.info.layers; ++layer) {
    AddLayer("layers." + std::to_string(layer) + ".", hidden, config.layer(layer), builder);
  }
  model.SortTensors();
  return model;
}

LoadedModel RandomModel(const std::string& shape_name) {
  std::string known;
  for (const Shape& shape : kShapes) {
    if (shape.name != shape_name) {
      known += (known.empty() ? "" : ", ") + std::string(shape.name);
      continue;
    }
    LayerClass layer;
    layer.rope.layout = shape.rope;
    layer.rope.rotated = shape.head_dim;
    layer.rope.base = shape.rope_base;
    return RandomModel(UniformConfig(
        {shape_name, std::string(shape.architecture), shape.layers, shape.hidden, shape.ffn,
         shape.q_heads, shape.kv_heads, shape.head_dim, shape.vocab, shape.context},
        layer));
  }
  throw Error(ErrorKind::kUsage, "unknown shape \"" + shape_name + "\"; known: " + known);
}

}  // namespace quantspec
