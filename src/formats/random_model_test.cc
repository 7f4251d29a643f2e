#include "formats/random_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace quantspec {
namespace {

TEST(RandomModel, CodesAndValuesAgree) {
  LayerClass layer;
  layer.qk_norm = QkNorm::kPerHead;
  const LoadedModel model =
      RandomModel(UniformConfig({"small", "qwen3", 2, 128, 256, 4, 2, 64, 1200, 1024}, layer));
  EXPECT_EQ(model.tensors.size(), 2u + 2u * 11u);
  EXPECT_FALSE(model.tokenizer);
  EXPECT_EQ(model.config.tokens, 1200);
  const SourceTensor& embedding = *model.Find("embedding");
  ASSERT_EQ(embedding.shape, (std::vector<int64_t>{1200, 128}));
  std::vector<float> values(2 * 128);
  embedding.reader->Decode(1000, Rows(values.data(), 2, 128));
  std::vector<uint8_t> upper(values.size());
  std::vector<GroupScale> scales(values.size() / 32);
  embedding.reader->Import(1000, 2, upper.data(), nullptr, scales.data());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(DecodeValue(scales[i / 32], upper[i], 0, Planes::kUpper), values[i]);
  }
  std::vector<float> norm(64);
  model.Find("layers.1.attn.q_norm")->reader->Decode(0, Rows(norm.data(), 1, 64));
  EXPECT_THAT(norm, testing::Each(1.0f));
}

TEST(RandomModel, KnownShapesAreListedInTheError) {
  EXPECT_EQ(RandomModel("smollm2-135m").config.info.layers, 30);
  try {
    RandomModel("gpt-5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), testing::HasSubstr("llama-3.2-1b, qwen2.5-1.5b"));
  }
}

}  // namespace
}  // namespace quantspec
