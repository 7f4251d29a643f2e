#include "text/spm_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "quantspec/error.h"
#include "text/tiny_vocabulary.h"

namespace quantspec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Token kByte = 3;  // the token of byte 0

SpmTokenizer Make(const TinyVocabulary& file) {
  const std::string bytes = file.Finish();
  return SpmTokenizer(Gguf::Parse(std::as_bytes(std::span(bytes)), "tiny.gguf",
                                  [](uint32_t, int64_t*, int64_t*) { return false; }));
}

std::string MessageOf(const TinyVocabulary& file) {
  try {
    Make(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(SpmTokenizer, JoinsByScoreAndPutsASpaceInFront) {
  const SpmTokenizer tokenizer = Make(TinySpm());
  EXPECT_THAT(tokenizer.Encode("he he", SpecialTokens::kAsText), ElementsAre(263, 263));
  EXPECT_THAT(tokenizer.Encode("hehe", SpecialTokens::kAsText), ElementsAre(263, 262));
  EXPECT_THAT(tokenizer.Encode("", SpecialTokens::kAsText), ElementsAre());
  EXPECT_EQ(tokenizer.Decode(std::vector<Token>{263, 263}), "he he");
  EXPECT_EQ(tokenizer.Piece(263), " he");
}

TEST(SpmTokenizer, WithoutThePrefixNothingIsAdded) {
  const SpmTokenizer tokenizer = Make(TinySpm().Bool("tokenizer.ggml.add_space_prefix", false));
  EXPECT_THAT(tokenizer.Encode("he he", SpecialTokens::kAsText), ElementsAre(262, 263));
  EXPECT_EQ(tokenizer.Decode(std::vector<Token>{262, 263}), "he he");
}

TEST(SpmTokenizer, CharactersWithoutATokenBecomeBytes) {
  const SpmTokenizer tokenizer = Make(TinySpm());
  EXPECT_THAT(tokenizer.Encode("he\xC3\xA9\xFF", SpecialTokens::kAsText),
              ElementsAre(263, kByte + 0xC3, kByte + 0xA9, kByte + 0xFF));
  EXPECT_EQ(tokenizer.Piece(kByte + 0xC3), "\xC3");
}

TEST(SpmTokenizer, ControlAndByteNamesInTextAreText) {
  const SpmTokenizer tokenizer = Make(TinySpm());
  for (const char* text : {"</s>", "<0x0A>", "<unk>"}) {
    const std::vector<Token> tokens = tokenizer.Encode(text, SpecialTokens::kAsText);
    EXPECT_GT(tokens.size(), 2u) << text;
    for (const Token token : tokens) EXPECT_FALSE(tokenizer.IsSpecial(token)) << text;
    EXPECT_EQ(tokenizer.Decode(tokens), text);
  }
  EXPECT_THAT(tokenizer.Encode("<s>he</s>", SpecialTokens::kParse), ElementsAre(1, 263, 2));
  EXPECT_THAT(tokenizer.Encode("<tool>", SpecialTokens::kAsText), ElementsAre(259, 264));
}

TEST(SpmTokenizer, BosIsAddedUnlessTheFileSaysOtherwise) {
  EXPECT_TRUE(Make(TinySpm()).adds_bos());
  EXPECT_FALSE(Make(TinySpm().Bool("tokenizer.ggml.add_bos_token", false)).adds_bos());
  EXPECT_TRUE(Make(TinySpm()).IsEnd(2));
}

TEST(SpmTokenizer, ScoresMustBeNumbersOnePerToken) {
  TinyVocabulary none("llama");
  none.Tokens({{"<unk>", 2}, {"a"}}, /*scores=*/false).Id("unknown", 0);
  EXPECT_THAT(MessageOf(none), HasSubstr("scores: found 0 numbers, expected 2"));
  TinyVocabulary nan("llama");
  nan.Tokens({{"<unk>", 2}, {"a", 1, std::numeric_limits<float>::quiet_NaN()}}, /*scores=*/true);
  EXPECT_THAT(MessageOf(nan.Id("unknown", 0)), HasSubstr("found NaN for token 1"));
}

TEST(SpmTokenizer, ByteTokensMustBeNamedAfterBytes) {
  TinyVocabulary file("llama");
  file.Tokens({{"<unk>", 2}, {"<0xG0>", 6}}, /*scores=*/true).Id("unknown", 0);
  EXPECT_THAT(MessageOf(file), HasSubstr("<0xG0>"));
  TinyVocabulary holes("llama");
  EXPECT_THAT(MessageOf(holes.Tokens({{"a"}}, /*scores=*/true)), HasSubstr("256 byte tokens"));
}

}  // namespace
}  // namespace quantspec
