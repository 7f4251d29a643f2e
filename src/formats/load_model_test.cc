#include "formats/load_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "formats/tiny_gguf.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

std::string Refusal(const GgufTestFile& file, ErrorKind kind) {
  const TestFolder folder("refused");
  try {
    LoadModel(folder.Write("x.gguf", file.Finish()));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(LoadModel, GivesConfigTensorsTokenizerAndMetadata) {
  const TestFolder folder("load");
  GgufTestFile file = TinyGguf();
  AddText(file, "tokenizer.chat_template", "a template");
  AddText(file, "tokenizer.chat_template.tool_use", "another");
  const LoadedModel model = LoadModel(folder.Write("tiny.gguf", file.Finish()));
  EXPECT_EQ(model.name, folder.Path("tiny.gguf"));
  EXPECT_EQ(model.config.info.vocab, 300);
  EXPECT_EQ(model.config.tokens, 264) << "the other rows have no token";
  EXPECT_EQ(model.config.layer(0).head_dim, 16);
  EXPECT_EQ(model.config.layer(0).rope.layout, RopeLayout::kPairs);
  EXPECT_EQ(model.tensors.size(), TinyTensors().size());
  EXPECT_EQ(model.Find("layers.0.attn.o")->source_name, "blk.0.attn_output.weight");
  EXPECT_EQ(model.Find("layers.0.attn.o")->stored_as, "F32");
  EXPECT_EQ(model.Find("head"), nullptr);
  EXPECT_EQ(model.tokenizer->pieces.size(), 264u);
  EXPECT_EQ(model.chat_template, "a template");
  EXPECT_THAT(model.named_chat_templates,
              testing::ElementsAre(testing::Pair("tool_use", "another")));
  EXPECT_THAT(model.metadata, testing::Contains(testing::Pair("llama.block_count", "1")));
  EXPECT_THAT(model.metadata,
              testing::Contains(testing::Pair("tokenizer.ggml.token_type",
                                              "[1, 1, 1, 1, 1, 1, 1, 1, ... 264 in all]")));
  EXPECT_EQ(model.name_in_source("layers.0.attn.q"), "blk.0.attn_q.weight");
}

TEST(LoadModel, ATokenizerThatCannotBeReadIsAnErrorOnlyForWhoNeedsIt) {
  const TestFolder folder("load");
  GgufTestFile file;
  AddTinyConfig(file);
  AddText(file, "tokenizer.ggml.model", "bert");
  for (size_t i = 0; i < TinyTensors().size(); ++i) AddTinyTensor(file, i);
  const LoadedModel model = LoadModel(folder.Write("tiny.gguf", file.Finish()));
  EXPECT_FALSE(model.tokenizer);
  EXPECT_THAT(model.no_tokenizer->what(), HasSubstr("\"bert\""));
  EXPECT_EQ(model.config.tokens, 300);
}

TEST(LoadModel, WhatIsNoModelIsNamedForWhatItIs) {
  const auto refusal = [](const char* key, const char* value) {
    GgufTestFile file = TinyGguf();
    AddText(file, key, value);
    return Refusal(file, ErrorKind::kUnsupported);
  };
  EXPECT_THAT(refusal("general.type", "adapter"),
              testing::AllOf(HasSubstr("(LoRA), not a model"), HasSubstr("merge it")));
  EXPECT_THAT(refusal("general.type", "mmproj"), HasSubstr("(mmproj), not a language model"));
  EXPECT_THAT(refusal("general.type", "imatrix"), HasSubstr("(imatrix), not a model"));
  EXPECT_EQ(refusal("general.type", "model"), "no error");
  GgufTestFile clip;
  AddText(clip, "general.architecture", "clip");
  EXPECT_THAT(Refusal(clip, ErrorKind::kUnsupported), HasSubstr("mmproj"));
}

TEST(LoadModel, UnknownTensorsAndVariantsAreRefused) {
  GgufTestFile tensor = TinyGguf();
  tensor.Tensor("blk.0.ffn_gate_inp.weight", {32}, 0, std::string(128, '\0'));
  EXPECT_THAT(Refusal(tensor, ErrorKind::kUnsupported),
              HasSubstr("tensor blk.0.ffn_gate_inp.weight"));
  GgufTestFile nothing;
  EXPECT_THAT(Refusal(nothing, ErrorKind::kCorrupt), HasSubstr("general.architecture"));
}

TEST(LoadModel, LayersMayHaveAWindow) {
  const TestFolder folder("load");
  GgufTestFile window = TinyGguf();
  AddNumber(window, "llama.attention.sliding_window", 5);
  const ModelConfig config = LoadModel(folder.Write("tiny.gguf", window.Finish())).config;
  EXPECT_EQ(config.layer(0).window, 5);
  EXPECT_EQ(config.classes.size(), 1u);
}

TEST(LoadModel, RopeDivisorsBelongToTheConfig) {
  const TestFolder folder("load");
  const auto file = [](size_t count, float first) {
    GgufTestFile tiny = TinyGguf();
    std::string data = GgufTestFile::Bytes(first);
    while (data.size() < count * sizeof(float)) data += GgufTestFile::Bytes(2.0f);
    return tiny.Tensor("rope_freqs.weight", {count}, 0, data);
  };
  const LoadedModel model = LoadModel(folder.Write("tiny.gguf", file(8, 4.0f).Finish()));
  EXPECT_THAT(model.config.layer(0).rope.divisors, testing::ElementsAre(4, 2, 2, 2, 2, 2, 2, 2));
  EXPECT_EQ(model.tensors.front().name, "") << "no part of the forward pass";
  EXPECT_THAT(Refusal(file(7, 4.0f), ErrorKind::kCorrupt), HasSubstr("found 7 values, expected 8"));
  EXPECT_THAT(Refusal(file(8, 0.0f), ErrorKind::kCorrupt), HasSubstr("expected numbers above 0"));
}

}  // namespace
}  // namespace quantspec
