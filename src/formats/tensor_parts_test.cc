#include "formats/tensor_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace quantspec {
namespace {

// Value of row r: r.
class RowNumbers : public TensorReader {
 public:
  void Decode(int64_t first, Rows out) const override {
    for (int64_t row = 0; row < out.rows; ++row) {
      for (int64_t i = 0; i < out.columns; ++i) out.Row(row)[i] = static_cast<float>(first + row);
    }
  }
  SourceCodes codes() const override { return {4, 32}; }
  void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t*,
              GroupScale* scales) const override {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < 32; ++i) upper[row * 32 + i] = static_cast<uint8_t>(first + row);
      scales[row] = {};
    }
  }
};

SourceTensor Matrix(const std::string& name, int64_t rows) {
  return {name,
          "theirs of " + name,
          "Q4_0",
          {rows, 32},
          static_cast<uint64_t>(rows * 18),
          std::make_shared<RowNumbers>()};
}

// Two query heads and one KV head of 4 channels, ffn 6, two layers.
LoadedModel ModelOf(std::vector<SourceTensor> tensors) {
  LoadedModel model;
  model.name = "model";
  ModelInfo info;
  info.layers = 2;
  info.q_heads = 2;
  info.kv_heads = 1;
  info.head_dim = 4;
  info.ffn = 6;
  model.config = UniformConfig(info, {});
  model.tensors = std::move(tensors);
  return model;
}

std::vector<std::string> NamesOf(const LoadedModel& model) {
  std::vector<std::string> names;
  for (const SourceTensor& tensor : model.tensors) names.push_back(tensor.name);
  return names;
}

float FirstValue(const SourceTensor& tensor, int64_t row) {
  std::vector<float> values(32);
  tensor.reader->Decode(row, Rows(values.data(), 1, 32));
  return values[0];
}

TEST(SplitFused, GivesEveryPartItsRows) {
  LoadedModel model = ModelOf({Matrix("layers.1.attn.qkv", 16), Matrix("layers.1.attn.o", 8),
                               Matrix("layers.1.ffn.gate_up", 12)});
  SplitFused(&model);
  EXPECT_THAT(NamesOf(model),
              testing::ElementsAre("layers.1.attn.q", "layers.1.attn.k", "layers.1.attn.v",
                                   "layers.1.attn.o", "layers.1.ffn.gate", "layers.1.ffn.up"));
  EXPECT_EQ(model.tensors[1].shape, (std::vector<int64_t>{4, 32}));
  EXPECT_EQ(model.tensors[1].bytes, 4u * 18);
  EXPECT_THAT(model.tensors[1].source_name, testing::HasSubstr("theirs of layers.1.attn.qkv"));
  EXPECT_EQ(FirstValue(model.tensors[0], 7), 7.0f);
  EXPECT_EQ(FirstValue(model.tensors[1], 0), 8.0f);
  EXPECT_EQ(FirstValue(model.tensors[2], 3), 15.0f);
  EXPECT_EQ(FirstValue(model.tensors[5], 0), 6.0f);
  std::vector<uint8_t> codes(64);
  std::vector<GroupScale> scales(2);
  model.tensors[2].reader->Import(1, 2, codes.data(), nullptr, scales.data());
  EXPECT_EQ(codes[0], 13);
  EXPECT_EQ(codes[63], 14);
}

TEST(SplitFused, AnUpProjectionOfTwiceTheHeightHoldsTheGate) {
  LoadedModel model = ModelOf({Matrix("layers.0.ffn.up", 12), Matrix("layers.1.ffn.gate", 6),
                               Matrix("layers.1.ffn.up", 6)});
  SplitFused(&model);
  EXPECT_THAT(NamesOf(model), testing::ElementsAre("layers.0.ffn.gate", "layers.0.ffn.up",
                                                   "layers.1.ffn.gate", "layers.1.ffn.up"));
  EXPECT_EQ(FirstValue(model.tensors[1], 0), 6.0f);
  // Beside a gate it is a matrix of the wrong shape, which the plan of weights refuses.
  LoadedModel other = ModelOf({Matrix("layers.1.ffn.gate", 6), Matrix("layers.1.ffn.up", 12)});
  SplitFused(&other);
  EXPECT_EQ(other.tensors[1].rows(), 12);
}

TEST(SplitFused, RefusesOtherHeights) {
  LoadedModel model = ModelOf({Matrix("layers.1.attn.qkv", 15)});
  try {
    SplitFused(&model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(error.what(), testing::HasSubstr("found 15 rows, expected 16"));
  }
  // A layer that the model does not have is left to the plan of weights.
  LoadedModel other = ModelOf({Matrix("layers.2.attn.qkv", 15), Matrix("layers.9999999999.x", 1)});
  SplitFused(&other);
  EXPECT_EQ(other.tensors.size(), 2u);
}

TEST(AddOneToNorms, AddsToNormsAlone) {
  LoadedModel model = ModelOf(
      {Matrix("layers.1.attn.q", 8), Matrix("layers.1.attn.q_norm", 1), Matrix("final_norm", 1)});
  AddOneToNorms(&model);
  EXPECT_EQ(FirstValue(model.tensors[0], 3), 3.0f);
  EXPECT_EQ(FirstValue(model.tensors[1], 0), 1.0f);
  EXPECT_EQ(FirstValue(model.tensors[2], 0), 1.0f);
}

}  // namespace
}  // namespace quantspec
