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

int WindowOf(const JsonTree& config, int layer) { return Read(config).layer(layer).window; }

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

TEST(HfConfig, WindowsThatOnlyTheStretchedContextLeavesAreWindows) {
  JsonTree mistral = Of("mistral");
  EXPECT_EQ(WindowOf(mistral, 0), 0) << "4096 by default, which is its context";
  mistral["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  EXPECT_EQ(Read(mistral).info.context, 4 * 4096);
  EXPECT_EQ(WindowOf(mistral, 0), 4096);
  mistral["sliding_window"] = 4 * 4096;
  EXPECT_EQ(WindowOf(mistral, 0), 0);
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
  EXPECT_EQ(WindowOf(mistral, 0), 0) << "4096 by default, which is its context";
  mistral["max_position_embeddings"] = 32768;
  EXPECT_EQ(WindowOf(mistral, 0), 4096);
  mistral["sliding_window"] = 512;
  EXPECT_EQ(WindowOf(mistral, 1), 512);
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(WindowOf(mistral, 0), 0);
  JsonTree qwen = Of("qwen2");
  qwen["sliding_window"] = 128;
  qwen["use_sliding_window"] = false;
  EXPECT_EQ(WindowOf(qwen, 1), 0);
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 2;
  EXPECT_EQ(WindowOf(qwen, 1), 0);
  qwen["max_window_layers"] = 1;
  EXPECT_EQ(WindowOf(qwen, 0), 0);
  EXPECT_EQ(WindowOf(qwen, 1), 128);
  EXPECT_EQ(Read(qwen).classes.size(), 2u);
  qwen["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_EQ(WindowOf(qwen, 0), 128);
  EXPECT_EQ(WindowOf(qwen, 1), 0);
  JsonTree llama = Llama();
  llama["sliding_window"] = 16;
  EXPECT_EQ(WindowOf(llama, 0), 0) << "a family without";
}

TEST(HfConfig, WindowsOfKindsOfLayersHaveTheirOwnRope) {
  JsonTree gemma = Of("gemma3_text");
  gemma["num_hidden_layers"] = 7;
  gemma["sliding_window"] = 512;
  gemma["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  const ModelConfig v4 = Read(gemma);
  gemma.erase("rope_scaling");
  gemma.erase("rope_theta");
  gemma["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 500000.0}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}}};
  const ModelConfig v5 = Read(gemma);
  for (const ModelConfig& config : {v4, v5}) {
    ASSERT_EQ(config.classes.size(), 2u);
    for (int layer = 0; layer < 7; ++layer) {
      const LayerClass& shape = config.layer(layer);
      EXPECT_EQ(shape.window, layer == 5 ? 0 : 512);
      EXPECT_EQ(shape.rope.base, layer == 5 ? 500000.0 : 10000.0);
      EXPECT_EQ(shape.rope.scaling, layer == 5 ? RopeScaling::kLinear : RopeScaling::kNone);
    }
  }
  JsonTree olmo = Of("olmo3");
  olmo["num_hidden_layers"] = 4;
  olmo["sliding_window"] = 64;
  olmo["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 2.0}};
  const ModelConfig config = Read(olmo);
  EXPECT_EQ(config.info.context, 2 * 4096);
  EXPECT_EQ(config.layer(2).window, 64);
  EXPECT_EQ(config.layer(2).rope.scaling, RopeScaling::kNone);
  EXPECT_EQ(config.layer(2).rope.base, 500000.0);
  EXPECT_EQ(config.layer(3).rope.scaling, RopeScaling::kYarn);
}

TEST(HfConfig, GemmaBringsItsScalesAndDefaults) {
  // As the hub has it: most of it is left out.
  const JsonTree nested = JsonTree::parse(R"({
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
    "torch_dtype": "bfloat16", "vision_config": {"hidden_size": 1152},
    "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
                    "model_type": "gemma3_text", "sliding_window": 1024,
                    "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}})");
  const HfConfig read = ReadHfConfig(nested, "config.json");
  EXPECT_TRUE(read.is_tied);
  EXPECT_TRUE(read.is_nested);
  EXPECT_TRUE(read.norms_add_one);
  const ModelConfig& config = read.model;
  EXPECT_EQ(config.info.vocab, 262208);
  EXPECT_EQ(config.info.q_heads, 8);
  EXPECT_EQ(config.info.head_dim, 256);
  EXPECT_EQ(config.info.context, 131072);
  EXPECT_EQ(config.embedding_scale, 50.5f) << "50.596 in bf16";
  EXPECT_EQ(config.logit_softcap, 0.0f);
  const LayerClass& layer = config.layer(0);
  EXPECT_EQ(layer.attention_scale, 1.0f / 16);
  EXPECT_EQ(layer.norms, NormPlace::kBoth);
  EXPECT_EQ(layer.qk_norm, QkNorm::kPerHead);
  EXPECT_EQ(layer.activation, Activation::kGeluTanh);

  JsonTree gemma2 = Of("gemma2");
  gemma2["dtype"] = "float32";
  const ModelConfig second = Read(gemma2);
  EXPECT_EQ(second.embedding_scale, 8.0f);
  EXPECT_EQ(second.logit_softcap, 30.0f);
  EXPECT_EQ(second.layer(0).attention_softcap, 50.0f);
  gemma2["final_logit_softcapping"] = nullptr;
  EXPECT_EQ(Read(gemma2).logit_softcap, 0.0f);
  gemma2["use_bidirectional_attention"] = true;
  EXPECT_THAT(Refusal(gemma2), HasSubstr("use_bidirectional_attention"));
}

TEST(HfConfig, LongRopeHasTwoListsAndOneFactor) {
  JsonTree phi = Of("phi3");
  phi["original_max_position_embeddings"] = 1024;
  phi["partial_rotary_factor"] = 0.5;
  phi["rope_scaling"] = {
      {"type", "su"}, {"short_factor", {1.0, 1.5, 2, 2.5}}, {"long_factor", {3.0, 4.0, 5.0, 6.0}}};
  const ModelConfig config = Read(phi);
  const RopeConfig& rope = config.layer(0).rope;
  EXPECT_EQ(rope.scaling, RopeScaling::kLongRope);
  EXPECT_EQ(rope.rotated, 8);
  EXPECT_THAT(rope.divisors, testing::ElementsAre(1.0f, 1.5f, 2.0f, 2.5f));
  EXPECT_THAT(rope.long_divisors, testing::ElementsAre(3.0f, 4.0f, 5.0f, 6.0f));
  EXPECT_NEAR(rope.attention_factor, std::sqrt(1 + std::log(4.0) / std::log(1024.0)), 1e-12);
  EXPECT_FALSE(config.ReadsLongRope(1024));
  EXPECT_TRUE(config.ReadsLongRope(1025));
  phi["rope_scaling"]["long_factor"] = {3.0, 4.0, 5.0};
  EXPECT_THAT(Refusal(phi, ErrorKind::kCorrupt), HasSubstr("long_factor"));
  phi["rope_scaling"]["long_factor"] = {3.0, 4.0, 5.0, 0.0};
  EXPECT_THAT(Refusal(phi, ErrorKind::kCorrupt), HasSubstr("long_factor"));
  phi["rope_scaling"].erase("long_factor");
  EXPECT_THAT(Refusal(phi, ErrorKind::kCorrupt), HasSubstr("long_factor"));
}

TEST(HfConfig, FamiliesAreData) {
  JsonTree granite = Of("granite");
  granite["embedding_multiplier"] = 12.0;
  granite["logits_scaling"] = 8.0;
  granite["residual_multiplier"] = 0.22;
  granite["attention_multiplier"] = 0.0625;
  const ModelConfig scaled = Read(granite);
  EXPECT_EQ(scaled.embedding_scale, 12.0f);
  EXPECT_EQ(scaled.logit_scale, 0.125f);
  EXPECT_EQ(scaled.layer(0).residual_scale, 0.22f);
  EXPECT_EQ(scaled.layer(0).ScoreScale(), 0.0625f);
  granite["model_type"] = "llama";
  EXPECT_EQ(Read(granite).embedding_scale, 1.0f) << "a family without multipliers";
  granite["model_type"] = "granite";
  granite["residual_multiplier"] = 0;
  EXPECT_THAT(Refusal(granite, ErrorKind::kCorrupt), HasSubstr("residual_multiplier"));

  JsonTree smol = Of("smollm3");
  smol["num_hidden_layers"] = 8;
  for (int layer = 0; layer < 8; ++layer) {
    EXPECT_EQ(Read(smol).layer(layer).rope.rotated, layer % 4 == 3 ? 0 : 16);
  }
  EXPECT_TRUE(ReadHfConfig(smol, "config.json").is_tied);
  smol["no_rope_layers"] = {0, 1, 1, 1, 1, 1, 1, 0};
  EXPECT_EQ(Read(smol).layer(0).rope.rotated, 0);
  EXPECT_EQ(Read(smol).layer(3).rope.rotated, 16);
  smol["no_rope_layers"] = {0, 1};
  EXPECT_THAT(Refusal(smol, ErrorKind::kCorrupt), HasSubstr("no_rope_layers"));

  JsonTree ministral = Of("ministral3");
  ministral["head_dim"] = 16;
  ministral["rope_parameters"] = {{"rope_type", "yarn"},
                                  {"factor", 4.0},
                                  {"mscale", 1.0},
                                  {"mscale_all_dim", 1.0},
                                  {"original_max_position_embeddings", 1024},
                                  {"llama_4_scaling_beta", 0.1}};
  const LayerClass growing = Read(ministral).layer(0);
  EXPECT_EQ(growing.query_growth, (QueryGrowth{0.1, 1024}));
  EXPECT_NEAR(growing.rope.attention_factor * (1 + 0.1 * std::log(4.0)), 1.0, 1e-12);

  const LayerClass olmo = Read(Of("olmo2")).layer(0);
  EXPECT_EQ(olmo.norms, NormPlace::kAfter);
  EXPECT_EQ(olmo.qk_norm, QkNorm::kWhole);
}

TEST(HfConfig, RefusesByTheNameOfWhatIsMissing) {
  EXPECT_THAT(Refusal(Of("mixtral")), HasSubstr("mixture of experts"));
  EXPECT_THAT(Refusal(Of("qwen3_next")), HasSubstr("linear attention"));
  EXPECT_THAT(Refusal(Of("never-heard-of")),
              HasSubstr("known: llama, mistral, qwen2, qwen3, phi3"));
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
