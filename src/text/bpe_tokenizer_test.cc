#include "text/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "quantspec/error.h"
#include "text/tiny_vocabulary.h"

namespace quantspec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

BpeTokenizer Make(const TinyVocabulary& file) {
  const std::string bytes = file.Finish();
  return BpeTokenizer(Gguf::Parse(std::as_bytes(std::span(bytes)), "tiny.gguf",
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

std::vector<TinyToken> Letters() { return {{"a"}, {"b"}, {"ab"}, {"<|x|>", 3}}; }

TEST(BpeTokenizer, MergesInTheOrderOfTheFile) {
  const BpeTokenizer tokenizer = Make(TinyBpe());
  EXPECT_THAT(tokenizer.Encode("hello hello", SpecialTokens::kAsText), ElementsAre(259, 260));
  EXPECT_THAT(tokenizer.Encode("hellhe", SpecialTokens::kAsText), ElementsAre(258, 256));
  EXPECT_THAT(tokenizer.Encode("", SpecialTokens::kParse), ElementsAre());
  EXPECT_EQ(tokenizer.Decode(std::vector<Token>{259, 260}), "hello hello");
}

TEST(BpeTokenizer, ControlTokensComeOnlyFromParsedText) {
  const BpeTokenizer tokenizer = Make(TinyBpe());
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
  const BpeTokenizer tokenizer = Make(TinyBpe());
  EXPECT_THAT(tokenizer.Encode("he<tool>he", SpecialTokens::kAsText), ElementsAre(256, 263, 256));
  EXPECT_FALSE(tokenizer.IsSpecial(263));
}

TEST(BpeTokenizer, NoMergeMakesAControlToken) {
  TinyVocabulary file("gpt2");
  file.Tokens({{"a"}, {"b"}, {"ab", 3}}, /*scores=*/false);
  const BpeTokenizer tokenizer = Make(file.Texts("tokenizer.ggml.merges", {"a b"}));
  EXPECT_THAT(tokenizer.Encode("ab", SpecialTokens::kAsText), ElementsAre(0, 1));
}

TEST(BpeTokenizer, BrokenUtf8ComesBackByteForByte) {
  const BpeTokenizer tokenizer = Make(TinyBpe());
  std::string text = "he\xE2\x82hello\xFF";
  text += '\0';
  for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
  const std::vector<Token> tokens = tokenizer.Encode(text, SpecialTokens::kAsText);
  EXPECT_EQ(tokenizer.Decode(tokens), text);
  EXPECT_THAT(std::vector<Token>(tokens.begin(), tokens.begin() + 4),
              ElementsAre(256, 0xE2, 0x82, 259));
}

TEST(BpeTokenizer, BytesWithoutATokenAreLeftOut) {
  TinyVocabulary file("gpt2");
  file.Tokens(Letters(), /*scores=*/false);
  const BpeTokenizer tokenizer = Make(file.Texts("tokenizer.ggml.merges", {"a b"}));
  EXPECT_THAT(tokenizer.Encode("acb", SpecialTokens::kAsText), ElementsAre(2));
}

TEST(BpeTokenizer, BosIsAddedAsTheFileSaysOrElseAsTheFamilyDoes) {
  EXPECT_FALSE(Make(TinyBpe("smollm")).adds_bos());
  EXPECT_TRUE(Make(TinyBpe("llama-bpe")).adds_bos());
  EXPECT_FALSE(Make(TinyBpe("llama-bpe").Bool("tokenizer.ggml.add_bos_token", false)).adds_bos());
  EXPECT_EQ(Make(TinyBpe()).bos(), 261);
  EXPECT_EQ(Make(TinyBpe()).eos(), 262);
}

TEST(BpeTokenizer, IdsOutOfRangeAreRefused) {
  const BpeTokenizer tokenizer = Make(TinyBpe());
  for (const Token token : {-1, 264}) {
    EXPECT_THROW(tokenizer.Piece(token), Error);
    EXPECT_THROW(tokenizer.IsEnd(token), Error);
    EXPECT_THROW(tokenizer.IsSpecial(token), Error);
    EXPECT_THROW(tokenizer.Decode(std::vector<Token>{0, token}), Error);
  }
}

TEST(BpeTokenizer, MalformedMergesAreRefused) {
  const auto with = [](const std::vector<std::string>& merges) {
    TinyVocabulary file("gpt2");
    file.Tokens(Letters(), /*scores=*/false).Texts("tokenizer.ggml.merges", merges);
    return MessageOf(file);
  };
  TinyVocabulary none("gpt2");
  EXPECT_THAT(MessageOf(none.Tokens(Letters(), /*scores=*/false)), HasSubstr("found none"));
  for (const char* merge : {"", " ", "a", "a ", " b", "a  b", "a b a"}) {
    EXPECT_THAT(with({"a b", merge}), HasSubstr("at index 1, expected two parts")) << merge;
  }
  EXPECT_THAT(with({"b a"}), HasSubstr("\"b a\" at index 0"));
  EXPECT_THAT(with({"a c"}), HasSubstr("\"a c\" at index 0"));
}

}  // namespace
}  // namespace quantspec
