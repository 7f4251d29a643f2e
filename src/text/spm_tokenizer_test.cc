#include "text/spm_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "quantspec/error.h"
#include "text/tiny_vocabulary.h"

namespace quantspec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Token kByte = 3;  // the token of byte 0

std::string MessageOf(std::vector<TinyToken> tokens) {
  try {
    SpmTokenizer tokenizer(TinySpec(TokenizerKind::kSentencePiece, std::move(tokens)));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(SpmTokenizer, JoinsByScoreAndPutsASpaceInFront) {
  const SpmTokenizer tokenizer(TinySpm());
  EXPECT_THAT(tokenizer.Encode("he he", SpecialTokens::kAsText), ElementsAre(263, 263));
  EXPECT_THAT(tokenizer.Encode("hehe", SpecialTokens::kAsText), ElementsAre(263, 262));
  EXPECT_THAT(tokenizer.Encode("", SpecialTokens::kAsText), ElementsAre());
  EXPECT_EQ(tokenizer.Decode(std::vector<Token>{263, 263}), "he he");
  EXPECT_EQ(tokenizer.Piece(263), " he");
}

TEST(SpmTokenizer, WithoutThePrefixNothingIsAdded) {
  TokenizerSpec spec = TinySpm();
  spec.add_space_prefix = false;
  const SpmTokenizer tokenizer(spec);
  EXPECT_THAT(tokenizer.Encode("he he", SpecialTokens::kAsText), ElementsAre(262, 263));
  EXPECT_EQ(tokenizer.Decode(std::vector<Token>{262, 263}), "he he");
}

TEST(SpmTokenizer, CharactersWithoutATokenBecomeBytes) {
  const SpmTokenizer tokenizer(TinySpm());
  EXPECT_THAT(tokenizer.Encode("he\xC3\xA9\xFF", SpecialTokens::kAsText),
              ElementsAre(263, kByte + 0xC3, kByte + 0xA9, kByte + 0xFF));
  EXPECT_EQ(tokenizer.Piece(kByte + 0xC3), "\xC3");
}

TEST(SpmTokenizer, ControlAndByteNamesInTextAreText) {
  const SpmTokenizer tokenizer(TinySpm());
  for (const char* text : {"</s>", "<0x0A>", "<unk>"}) {
    const std::vector<Token> tokens = tokenizer.Encode(text, SpecialTokens::kAsText);
    EXPECT_GT(tokens.size(), 2u) << text;
    for (const Token token : tokens) EXPECT_FALSE(tokenizer.IsSpecial(token)) << text;
    EXPECT_EQ(tokenizer.Decode(tokens), text);
  }
  EXPECT_THAT(tokenizer.Encode("<s>he</s>", SpecialTokens::kParse), ElementsAre(1, 263, 2));
  EXPECT_THAT(tokenizer.Encode("<tool>", SpecialTokens::kAsText), ElementsAre(259, 264));
}

TEST(SpmTokenizer, BosIsAddedUnlessTheSourceSaysOtherwise) {
  TokenizerSpec spec = TinySpm();
  EXPECT_TRUE(SpmTokenizer(spec).adds_bos());
  EXPECT_TRUE(SpmTokenizer(spec).IsEnd(2));
  spec.add_bos = false;
  EXPECT_FALSE(SpmTokenizer(spec).adds_bos());
}

TEST(SpmTokenizer, ByteTokensMustBeNamedAfterBytes) {
  EXPECT_THAT(MessageOf({{"<unk>", TokenType::kUnknown}, {"<0xG0>", TokenType::kByte}}),
              HasSubstr("<0xG0>"));
  EXPECT_THAT(MessageOf({{"a"}}), HasSubstr("256 byte tokens"));
}

}  // namespace
}  // namespace quantspec
