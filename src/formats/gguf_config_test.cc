#include "formats/gguf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "io/gguf_test_file.h"
#include "quant/ggml_blocks.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

// Metadata of a model of an architecture: hidden 128, 8 query heads of 32 channels, 4 KV heads.
class Metadata {
 public:
  explicit Metadata(std::string architecture, uint32_t layers = 8, bool has_head_dim = true,
                    uint32_t heads = 8)
      : architecture_(std::move(architecture)) {
    file_.Entry("general.architecture", 8, GgufTestFile::Text(architecture_));
    Whole("block_count", layers).Whole("embedding_length", 128).Whole("feed_forward_length", 256);
    Whole("context_length", 4096).Whole("attention.head_count", heads);
    Whole("attention.head_count_kv", 4);
    if (has_head_dim) Whole("attention.key_length", 32).Whole("attention.value_length", 32);
  }
  Metadata& Whole(const std::string& key, uint32_t value) {
    file_.Entry(architecture_ + "." + key, 4, GgufTestFile::Bytes(value));
    return *this;
  }
  Metadata& Number(const std::string& key, float value) {
    file_.Entry(architecture_ + "." + key, 6, GgufTestFile::Bytes(value));
    return *this;
  }
  Metadata& Text(const std::string& key, const std::string& value) {
    file_.Entry(architecture_ + "." + key, 8, GgufTestFile::Text(value));
    return *this;
  }
  Metadata& Marks(const std::string& key, const std::string& marks) {
    file_.Array(architecture_ + "." + key, 7, marks.size(), marks);
    return *this;
  }
  ModelConfig Read() const {
    const ExactBytes bytes(file_.Finish());
    const Gguf gguf = Gguf::Parse(bytes.span(), "x.gguf", GgmlTypeSize);
    GgufTensor embedding;
    embedding.shape = {300, 128};
    return ReadGgufConfig(gguf, &embedding);
  }
  std::string Refusal(ErrorKind kind) const {
    try {
      Read();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "no error";
  }

 private:
  std::string architecture_;
  GgufTestFile file_;
};

TEST(GgufConfig, GemmaHasItsScalesByArchitecture) {
  const ModelConfig second = Metadata("gemma2", 26).Read();
  EXPECT_EQ(second.embedding_scale, 11.3125f) << "11.3137 in bf16";
  EXPECT_EQ(second.logit_softcap, 30.0f);
  for (int layer = 0; layer < 26; ++layer) {
    EXPECT_EQ(second.layer(layer).attention_softcap, 50.0f);
    EXPECT_EQ(second.layer(layer).ScoreScale(), 1 / std::sqrt(32.0f));
    EXPECT_EQ(second.layer(layer).window, 0) << "4096, which is the context";
  }
  EXPECT_EQ(Metadata("gemma2", 46).Read().layer(0).ScoreScale(), 0.25f) << "the model of 27B";
  const ModelConfig narrow = Metadata("gemma2").Whole("attention.sliding_window", 100).Read();
  EXPECT_EQ(narrow.layer(0).window, 100);
  EXPECT_EQ(narrow.layer(1).window, 0);

  const ModelConfig third = Metadata("gemma3")
                                .Whole("attention.sliding_window", 64)
                                .Number("rope.freq_base", 1e6f)
                                .Text("rope.scaling.type", "linear")
                                .Number("rope.scaling.factor", 8.0f)
                                .Read();
  EXPECT_EQ(third.logit_softcap, 0.0f);
  ASSERT_EQ(third.classes.size(), 2u);
  for (int layer = 0; layer < 8; ++layer) {
    const LayerClass& shape = third.layer(layer);
    EXPECT_EQ(shape.window, layer == 5 ? 0 : 64);
    EXPECT_EQ(shape.rope.base, layer == 5 ? 1e6 : 1e4);
    EXPECT_EQ(shape.rope.scaling, layer == 5 ? RopeScaling::kLinear : RopeScaling::kNone);
    EXPECT_EQ(shape.norms, NormPlace::kBoth);
    EXPECT_EQ(shape.attention_softcap, 0.0f);
  }
  EXPECT_THAT(Metadata("gemma2").Number("attn_logit_softcapping", -1).Refusal(ErrorKind::kCorrupt),
              HasSubstr("attn_logit_softcapping"));
}

TEST(GgufConfig, WindowsOfOlmoAreMarked) {
  const ModelConfig config =
      Metadata("olmo2", 4)
          .Whole("attention.sliding_window", 64)
          .Marks("attention.sliding_window_pattern", std::string("\1\0\1\0", 4))
          .Text("rope.scaling.type", "yarn")
          .Number("rope.scaling.factor", 8.0f)
          .Read();
  EXPECT_EQ(config.layer(0).window, 64);
  EXPECT_EQ(config.layer(1).window, 0);
  EXPECT_EQ(config.layer(2).rope.scaling, RopeScaling::kNone);
  EXPECT_EQ(config.layer(3).rope.scaling, RopeScaling::kYarn);
  EXPECT_EQ(config.layer(0).norms, NormPlace::kAfter);
  EXPECT_EQ(config.layer(0).qk_norm, QkNorm::kWhole);
  EXPECT_EQ(Metadata("olmo2", 4).Read().classes.size(), 1u);
  EXPECT_THAT(Metadata("olmo2", 4)
                  .Whole("attention.sliding_window", 64)
                  .Marks("attention.sliding_window_pattern", "\1")
                  .Refusal(ErrorKind::kCorrupt),
              HasSubstr("sliding_window_pattern"));
}

TEST(GgufConfig, GraniteHasMultipliersAndASwitchForRope) {
  const ModelConfig config = Metadata("granite")
                                 .Number("embedding_scale", 12.0f)
                                 .Number("residual_scale", 0.25f)
                                 .Number("logit_scale", 8.0f)
                                 .Number("attention.scale", 0.125f)
                                 .Read();
  EXPECT_EQ(config.embedding_scale, 12.0f);
  EXPECT_EQ(config.logit_scale, 0.125f);
  EXPECT_EQ(config.layer(0).residual_scale, 0.25f);
  EXPECT_EQ(config.layer(0).ScoreScale(), 0.125f);
  EXPECT_EQ(config.layer(0).rope.rotated, 32);
  EXPECT_THAT(Metadata("llama").Number("logit_scale", 8.0f).Refusal(ErrorKind::kUnsupported),
              HasSubstr("logit_scale"));
}

TEST(GgufConfig, QueriesOfMistralGrow) {
  const ModelConfig config = Metadata("mistral3")
                                 .Number("attention.temperature_scale", 0.5f)
                                 .Text("rope.scaling.type", "yarn")
                                 .Number("rope.scaling.factor", 4.0f)
                                 .Number("rope.scaling.yarn_log_multiplier", 1.0f)
                                 .Whole("rope.scaling.original_context_length", 1024)
                                 .Read();
  EXPECT_EQ(config.layer(0).query_growth, (QueryGrowth{0.5, 1024}));
  EXPECT_NEAR(config.layer(0).rope.attention_factor * (1 + 0.1 * std::log(4.0)), 1, 1e-12);
  EXPECT_THAT(Metadata("llama")
                  .Number("attention.temperature_scale", 0.5f)
                  .Refusal(ErrorKind::kUnsupported),
              HasSubstr("temperature_scale"));
}

TEST(GgufConfig, HeadsHaveAWidth) {
  EXPECT_EQ(Metadata("llama", 8, /*has_head_dim=*/false).Read().info.head_dim, 16);
  const Metadata many("llama", 8, /*has_head_dim=*/false, /*heads=*/256);  // of 128 channels
  EXPECT_THAT(many.Refusal(ErrorKind::kUnsupported), HasSubstr("head_dim 0"));
}

TEST(GgufConfig, LayersWithoutRopeAndOtherScalings) {
  const ModelConfig smol = Metadata("smollm3").Read();
  for (int layer = 0; layer < 8; ++layer) {
    EXPECT_EQ(smol.layer(layer).rope.rotated, layer % 4 == 3 ? 0 : 32);
  }
  const ModelConfig phi = Metadata("phi3")
                              .Text("rope.scaling.type", "longrope")
                              .Number("rope.scaling.attn_factor", 1.25f)
                              .Read();
  EXPECT_EQ(phi.layer(0).rope.scaling, RopeScaling::kLongRope);
  EXPECT_EQ(phi.layer(0).rope.attention_factor, 1.25);
  EXPECT_THAT(
      Metadata("qwen2").Text("rope.scaling.type", "dynamic").Refusal(ErrorKind::kUnsupported),
      HasSubstr("dynamic"));
}

}  // namespace
}  // namespace quantspec
