#include "formats/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "formats/tiny_gguf.h"
#include "quantspec/error.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Reading {
  explicit Reading(const GgufTestFile& file)
      : bytes(file.Finish()),
        gguf(Gguf::Parse(std::as_bytes(std::span(bytes)), "tiny.gguf",
                         [](uint32_t, int64_t*, int64_t*) { return false; })),
        spec(ReadGgufTokenizer(gguf, nullptr, &warnings)) {}
  std::string bytes;
  Gguf gguf;
  std::vector<std::string> warnings;
  TokenizerSpec spec;
};

std::string MessageOf(const GgufTestFile& file, ErrorKind kind = ErrorKind::kCorrupt) {
  try {
    Reading reading(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), testing::StartsWith("tiny.gguf: metadata tokenizer.ggml."));
    return error.what();
  }
  return "no error";
}

TEST(GgufTokenizer, GivesWhatWasWritten) {
  for (TokenizerSpec written : {TinyBpe("qwen2"), TinySpm()}) {
    written.add_bos = true;
    written.add_space_prefix = written.kind == TokenizerKind::kByteLevelBpe;
    GgufTestFile file;
    AddTokenizer(file, written);
    const Reading reading(file);
    EXPECT_THAT(reading.warnings, ElementsAre());
    EXPECT_EQ(reading.spec.kind, written.kind);
    EXPECT_EQ(reading.spec.pieces, written.pieces);
    EXPECT_EQ(reading.spec.types, written.types);
    EXPECT_EQ(reading.spec.scores, written.scores);
    EXPECT_EQ(reading.spec.merges.size(), written.merges.size());
    EXPECT_EQ(reading.spec.bos, written.bos);
    EXPECT_EQ(reading.spec.eos, written.eos);
    EXPECT_EQ(reading.spec.unknown, written.unknown);
    EXPECT_EQ(reading.spec.ends, written.ends);
    EXPECT_EQ(reading.spec.add_bos, true);
    EXPECT_EQ(reading.spec.add_space_prefix, written.add_space_prefix);
    const std::string text = "hello he<tool>";
    EXPECT_EQ(MakeTokenizer(reading.spec)->Encode(text, SpecialTokens::kAsText),
              MakeTokenizer(written)->Encode(text, SpecialTokens::kAsText));
  }
}

// A file with these texts as tokens.
GgufTestFile Texts(const char* model, const std::vector<std::string>& texts) {
  GgufTestFile file;
  AddText(file, "tokenizer.ggml.model", model);
  AddTexts(file, "tokenizer.ggml.tokens", texts);
  return file;
}
std::string Int32(int32_t value) { return GgufTestFile::Bytes(value); }

TEST(GgufTokenizer, DamagedMetadataIsRefusedWithWhatWasFound) {
  EXPECT_THAT(MessageOf(GgufTestFile()), HasSubstr("model: found none"));
  EXPECT_THAT(MessageOf(Texts("gpt2", {})), HasSubstr("tokens: found none"));
  GgufTestFile types = Texts("gpt2", {"a", "b"});
  types.Array("tokenizer.ggml.token_type", 5, 1, Int32(1));
  EXPECT_THAT(MessageOf(types), HasSubstr("token_type: found 1 whole numbers, expected 2"));
  GgufTestFile wild = Texts("gpt2", {"a", "b"});
  wild.Array("tokenizer.ggml.token_type", 5, 2, Int32(1) + Int32(7));
  EXPECT_THAT(MessageOf(wild), HasSubstr("found 7 for token 1"));
  GgufTestFile id = Texts("gpt2", {"a", "b"});
  AddTexts(id, "tokenizer.ggml.merges", {});
  AddNumber(id, "tokenizer.ggml.eos_token_id", 2);
  EXPECT_THAT(MessageOf(id), HasSubstr("eos_token_id: found 2, expected 0 to 1"));
  EXPECT_THAT(MessageOf(Texts("llama", {"a", "b"})),
              HasSubstr("scores: found 0 numbers, expected 2"));
  GgufTestFile nan = Texts("llama", {"a", "b"});
  nan.Array(
      "tokenizer.ggml.scores", 6, 2,
      GgufTestFile::Bytes(0.0f) + GgufTestFile::Bytes(std::numeric_limits<float>::quiet_NaN()));
  EXPECT_THAT(MessageOf(nan), HasSubstr("scores: found NaN for token 1"));
  EXPECT_THAT(MessageOf(Texts("bert", {"a"}), ErrorKind::kUnsupported), HasSubstr("\"bert\""));
}

TEST(GgufTokenizer, MalformedMergesAreRefused) {
  EXPECT_THAT(MessageOf(Texts("gpt2", {"a"})), HasSubstr("merges: found none"));
  for (const char* merge : {"", " ", "a", "a ", " b", "a  b", "a b a"}) {
    GgufTestFile file = Texts("gpt2", {"a", "b", "ab"});
    AddTexts(file, "tokenizer.ggml.merges", {"a b", merge});
    EXPECT_THAT(MessageOf(file), HasSubstr("at index 1, expected two parts")) << merge;
  }
}

TEST(GgufTokenizer, MarksOfTurnsOfPhi3TakeTheWhiteSpaceBehindThem) {
  for (const char* name : {"Phi-3 Mini", "phi3", "Llama"}) {
    GgufTestFile file;
    AddTokenizer(file, TinyBpe());
    AddText(file, "general.name", name);
    const auto tokenizer = MakeTokenizer(Reading(file).spec);
    const bool takes = std::string(name) != "Llama";
    EXPECT_EQ(tokenizer->Encode("<|im_end|>\nhe", SpecialTokens::kParse),
              takes ? (std::vector<Token>{262, 256}) : (std::vector<Token>{262, '\n', 256}));
  }
}

TEST(GgufTokenizer, AnIdOfMinusOneMeansNone) {
  GgufTestFile file = Texts("gpt2", {"a"});
  AddTexts(file, "tokenizer.ggml.merges", {});
  AddNumber(file, "tokenizer.ggml.bos_token_id", 0xFFFFFFFFu);
  EXPECT_EQ(Reading(file).spec.bos, -1);
}

// A byte-level vocabulary without rules, of `tokens` tokens, one of them `mark`.
Reading WithoutRules(const char* mark, size_t tokens) {
  std::vector<TinyToken> all = ByteAlphabetTokens();
  all.push_back({mark, TokenType::kControl});
  while (all.size() < tokens) all.push_back({"filler " + std::to_string(all.size())});
  TokenizerSpec spec = TinySpec(TokenizerKind::kByteLevelBpe, std::move(all));
  spec.pre_tokenizer.clear();
  GgufTestFile file;
  AddTokenizer(file, spec);
  return Reading(file);
}

TEST(GgufTokenizer, WithoutRulesTheVocabularyTellsTheFamily) {
  for (const auto& [mark, tokens, expected] :
       std::vector<std::tuple<const char*, size_t, const char*>>{
           {"<|begin_of_text|>", 128256, "llama-bpe"},
           {"<|im_start|>", 151936, "qwen2"},
           {"<jupyter_start>", 49152, "smollm"},
           {"<|endoftext|>", 50257, "gpt-2"}}) {
    const Reading reading = WithoutRules(mark, tokens);
    EXPECT_EQ(reading.spec.pre_tokenizer, expected);
    EXPECT_THAT(reading.warnings, ElementsAre()) << mark;
  }
  // Llama 3 takes digits in threes and keeps "DON'T" in two pieces.
  const Reading llama = WithoutRules("<|begin_of_text|>", 128256);
  EXPECT_TRUE(MakeTokenizer(llama.spec)->adds_bos());
}

TEST(GgufTokenizer, RulesThatHaveToBeGuessedAreAWarning) {
  const Reading reading = WithoutRules("<|begin_of_text|>", 300);
  EXPECT_EQ(reading.spec.pre_tokenizer, "gpt-2");
  EXPECT_THAT(reading.warnings, ElementsAre(testing::AllOf(testing::StartsWith("tiny.gguf"),
                                                           HasSubstr("GPT-2's rules"))));
}

}  // namespace
}  // namespace quantspec
