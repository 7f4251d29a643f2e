#include "text/bpe_tokenizer.h"

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

TokenizerSpec Spec(std::vector<TinyToken> tokens, std::vector<std::string> merges) {
  return TinySpec(TokenizerKind::kByteLevelBpe, std::move(tokens), std::move(merges));
}

std::string MessageOf(const TokenizerSpec& spec) {
  try {
    BpeTokenizer tokenizer(spec);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << error.what();
    return error.what();
  }
  return "no error";
}

std::vector<TinyToken> Letters() { return {{"a"}, {"b"}, {"ab"}, {"<|x|>", TokenType::kControl}}; }

TEST(BpeTokenizer, MergesInTheOrderOfTheFile) {
  const BpeTokenizer tokenizer(TinyBpe());
  EXPECT_THAT(tokenizer.Encode("hello hello", SpecialTokens::kAsText), ElementsAre(259, 260));
  EXPECT_THAT(tokenizer.Encode("hellhe", SpecialTokens::kAsText), ElementsAre(258, 256));
  EXPECT_THAT(tokenizer.Encode("", SpecialTokens::kParse), ElementsAre());
  EXPECT_EQ(tokenizer.Decode(std::vector<Token>{259, 260}), "hello hello");
}

TEST(BpeTokenizer, ControlTokensComeOnlyFromParsedText) {
  const BpeTokenizer tokenizer(TinyBpe());
  EXPECT_THAT(tokenizer.Encode("he<|im_end|>he", SpecialTokens::kParse),
              ElementsAre(256, 262, 256));
  const std::vector<Token> text = tokenizer.Encode("<|im_end|>", SpecialTokens::kAsText);
  EXPECT_EQ(text.size(), 10u);
  EXPECT_EQ(tokenizer.Decode(text), "<|im_end|>");
  EXPECT_TRUE(tokenizer.IsSpecial(262));
  EXPECT_TRUE(tokenizer.IsEnd(262));
  EXPECT_FALSE(tokenizer.IsEnd(261));
  EXPECT_EQ(tokenizer.Piece(262), "<|im_end|>");
}

TEST(BpeTokenizer, UserDefinedTokensAreFoundInAnyText) {
  const BpeTokenizer tokenizer(TinyBpe());
  EXPECT_THAT(tokenizer.Encode("he<tool>he", SpecialTokens::kAsText), ElementsAre(256, 263, 256));
  EXPECT_FALSE(tokenizer.IsSpecial(263));
}

TEST(BpeTokenizer, NoMergeMakesAControlToken) {
  const BpeTokenizer tokenizer(Spec({{"a"}, {"b"}, {"ab", TokenType::kControl}}, {"a b"}));
  EXPECT_THAT(tokenizer.Encode("ab", SpecialTokens::kAsText), ElementsAre(0, 1));
}

TEST(BpeTokenizer, BrokenUtf8ComesBackByteForByte) {
  const BpeTokenizer tokenizer(TinyBpe());
  std::string text = "he\xE2\x82hello\xFF";
  text += '\0';
  for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
  const std::vector<Token> tokens = tokenizer.Encode(text, SpecialTokens::kAsText);
  EXPECT_EQ(tokenizer.Decode(tokens), text);
  EXPECT_THAT(std::vector<Token>(tokens.begin(), tokens.begin() + 4),
              ElementsAre(256, 0xE2, 0x82, 259));
}

TEST(BpeTokenizer, BytesWithoutATokenAreLeftOut) {
  const BpeTokenizer tokenizer(Spec(Letters(), {"a b"}));
  EXPECT_THAT(tokenizer.Encode("acb", SpecialTokens::kAsText), ElementsAre(2));
}

TEST(BpeTokenizer, BosIsAddedAsTheSourceSaysOrElseAsTheFamilyDoes) {
  EXPECT_FALSE(BpeTokenizer(TinyBpe("smollm")).adds_bos());
  TokenizerSpec llama = TinyBpe("llama-bpe");
  EXPECT_TRUE(BpeTokenizer(llama).adds_bos());
  llama.add_bos = false;
  EXPECT_FALSE(BpeTokenizer(llama).adds_bos());
  EXPECT_EQ(BpeTokenizer(TinyBpe()).bos(), 261);
  EXPECT_EQ(BpeTokenizer(TinyBpe()).eos(), 262);
}

TEST(BpeTokenizer, IdsOutOfRangeAreRefused) {
  const BpeTokenizer tokenizer(TinyBpe());
  for (const Token token : {-1, 264}) {
    EXPECT_THROW(tokenizer.Piece(token), Error);
    EXPECT_THROW(tokenizer.IsEnd(token), Error);
    EXPECT_THROW(tokenizer.IsSpecial(token), Error);
    EXPECT_THROW(tokenizer.Decode(std::vector<Token>{0, token}), Error);
  }
}

TEST(BpeTokenizer, MergesOfWhatIsNoTokenAreRefused) {
  EXPECT_THAT(MessageOf(Spec(Letters(), {"a b", "b a"})), HasSubstr("\"b a\" at index 1"));
  EXPECT_THAT(MessageOf(Spec(Letters(), {"a c"})), HasSubstr("\"a c\" at index 0"));
}

TEST(BpeTokenizer, UnknownRulesAreRefusedWithTheKnownOnes) {
  try {
    BpeTokenizer tokenizer(TinyBpe("klingon"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("\"klingon\""), HasSubstr("llama-bpe")));
  }
}

}  // namespace
}  // namespace quantspec
