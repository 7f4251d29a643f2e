#include "formats/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace quantspec {
namespace {

using testing::HasSubstr;

JsonTree Llama() {
  return JsonTree::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
    "num_hidden_layers": 2, "intermediate_size": 96, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "vocab_size": 300,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0})");
}

JsonTree Of(const std::string& type) {
  JsonTree config = Llama();
  config["model_type"] = type;
  config.erase("architectures");
  return config;
}

ModelConfig Read(const JsonTree& config) { return ReadHfConfig(config, "config.json").model; }

// What reading throws; fails if it does not.
std::string Refusal(const JsonTree& config, ErrorKind kind = ErrorKind::kUnsupported) {
  try {
    Read(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), testing::StartsWith("config.json"));
    return error.what();
  }
  ADD_FAILURE() << "not refused: " << config.dump();
  return "";
}

TEST(HfConfig, ReadsShapesAndRope) {
  const HfConfig read = ReadHfConfig(Llama(), "config.json");
  const ModelConfig& config = read.model;
  EXPECT_EQ(config.info.layers, 2);
  EXPECT_EQ(config.info.head_dim, 16);
  EXPECT_EQ(config.info.kv_heads, 2);
  EXPECT_EQ(config.info.vocab, 300);
  EXPECT_EQ(config.layer(1).rope.layout, RopeLayout::kHalves);
  EXPECT_EQ(config.layer(0).rope.base, 500000.0);
  EXPECT_EQ(config.layer(0).rope.rotated, 16);
  EXPECT_FALSE(read.is_tied);
}

TEST(HfConfig, BothVersionsOfTransformersSayTheSame) {
  JsonTree v4 = Llama(), v5 = Llama();
  v4["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 1024}};
  v5.erase("rope_theta");
  v5["rope_parameters"] = {{"rope_type", "yarn"},
                           {"factor", 4},
                           {"rope_theta", 500000.0},
                           {"original_max_position_embeddings", 1024}};
  for (const JsonTree& config : {v4, v5}) {
    const RopeConfig rope = Read(config).layer(0).rope;
    EXPECT_EQ(rope.scaling, RopeScaling::kYarn);
    EXPECT_EQ(rope.base, 500000.0);
    EXPECT_EQ(rope.original_context, 1024);
    EXPECT_DOUBLE_EQ(rope.attention_factor, 1.0);
  }
}

TEST(HfConfig, YarnStretchesTheContextAndItsFactorIsTheWholeOne) {
  JsonTree config = Llama();
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"attention_factor", 2.0}};
  const ModelConfig read = Read(config);
  EXPECT_EQ(read.info.context, 4 * 4096);
  EXPECT_NEAR(read.layer(0).rope.attention_factor, 2.0 / (1.0 + 0.1 * std::log(4.0)), 1e-12);
}

TEST(HfConfig, TakesTheDefaultsOfTheFamily) {
  JsonTree qwen3 = Of("qwen3");
  EXPECT_EQ(Read(qwen3).info.head_dim, 128);
  EXPECT_EQ(Read(qwen3).layer(0).qk_norm, QkNorm::kPerHead);
  JsonTree llama = Llama();
  llama.erase("num_key_value_heads");
  EXPECT_EQ(Read(llama).info.kv_heads, 4);
  JsonTree qwen2 = Of("qwen2");
  qwen2.erase("num_key_value_heads");
  EXPECT_THAT(Refusal(qwen2, ErrorKind::kCorrupt), HasSubstr("num_key_value_heads"));
}

TEST(HfConfig, WindowsThatAreOffAreNoWindows) {
  JsonTree mistral = Of("mistral");
  EXPECT_EQ(Read(mistral).info.layers, 2);  // 4096 by default, which is its context
  mistral["max_position_embeddings"] = 32768;
  EXPECT_THAT(Refusal(mistral), HasSubstr("sliding_window"));
  mistral["sliding_window"] = 4096;
  EXPECT_THAT(Refusal(mistral), HasSubstr("attention in a sliding window"));
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(Read(mistral).info.context, 32768);
  JsonTree qwen = Of("qwen2");
  qwen["sliding_window"] = 128;
  qwen["use_sliding_window"] = false;
  EXPECT_EQ(Read(qwen).info.layers, 2);
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 2;
  EXPECT_EQ(Read(qwen).info.layers, 2);
  qwen["max_window_layers"] = 1;
  EXPECT_THAT(Refusal(qwen), HasSubstr("attention in a sliding window"));
  JsonTree v5 = Of("qwen2");
  v5["layer_types"] = {"full_attention", "sliding_attention"};
  EXPECT_THAT(Refusal(v5), HasSubstr("attention in a sliding window"));
}

TEST(HfConfig, RefusesByTheNameOfWhatIsMissing) {
  EXPECT_THAT(Refusal(Of("mixtral")), HasSubstr("mixture of experts"));
  EXPECT_THAT(Refusal(Of("gemma2")), HasSubstr("soft caps"));
  EXPECT_THAT(Refusal(Of("never-heard-of")), HasSubstr("known: llama, mistral, qwen2, qwen3"));
  JsonTree config = Llama();
  config["hidden_act"] = "gelu";
  EXPECT_THAT(Refusal(config), HasSubstr("hidden_act"));
  config = Llama();
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 2.0}};
  EXPECT_THAT(Refusal(config), HasSubstr("dynamic"));
  config = Llama();
  config["architectures"] = {"LlamaForSequenceClassification"};
  EXPECT_THAT(Refusal(config), HasSubstr("not for text generation"));
  config = Llama();
  config["head_dim"] = 24;
  EXPECT_THAT(Refusal(config), HasSubstr("head_dim"));
  config = Llama();
  config["rope_interleaved"] = true;
  EXPECT_THAT(Refusal(config), HasSubstr("rope_interleaved"));
}

TEST(HfConfig, NamesTheFieldThatIsDamaged) {
  for (const char* key : {"hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size",
                          "max_position_embeddings", "num_attention_heads"}) {
    for (const JsonTree& value : {JsonTree(0), JsonTree(-1), JsonTree("x"), JsonTree(1.5),
                                  JsonTree(int64_t{1} << 40), JsonTree::array()}) {
      JsonTree config = Llama();
      config[key] = value;
      EXPECT_THAT(Refusal(config, ErrorKind::kCorrupt), HasSubstr(key));
    }
    JsonTree config = Llama();
    config.erase(key);
    EXPECT_THAT(Refusal(config, ErrorKind::kCorrupt), HasSubstr(key));
  }
  EXPECT_THAT(Refusal(JsonTree::array(), ErrorKind::kCorrupt), HasSubstr("object"));
}

}  // namespace
}  // namespace quantspec
