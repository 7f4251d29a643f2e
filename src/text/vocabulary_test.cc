#include "text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "quantspec/error.h"
#include "text/gguf_tokenizer.h"
#include "text/tiny_vocabulary.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

Gguf Parse(const std::string& bytes) {
  return Gguf::Parse(std::as_bytes(std::span(bytes)), "tiny.gguf",
                     [](uint32_t, int64_t*, int64_t*) { return false; });
}

std::string MessageOf(const TinyVocabulary& file, ErrorKind kind) {
  const std::string bytes = file.Finish();
  try {
    MakeTokenizer(Parse(bytes));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Vocabulary, NormalTokensAreFoundByTheirBytesAndSpecialOnesAreNot) {
  const std::string bytes = TinyBpe().Finish();
  const Vocabulary vocabulary(Parse(bytes), Spelling::kByteAlphabet);
  EXPECT_EQ(vocabulary.size(), 264);
  EXPECT_EQ(vocabulary.Find(" hello"), 260);
  EXPECT_EQ(vocabulary.text(260), " hello");
  EXPECT_EQ(vocabulary.Find(std::string(1, '\0')), 0);
  EXPECT_EQ(vocabulary.Find("\xFF"), 255);
  EXPECT_EQ(vocabulary.Find("<|im_end|>"), -1);
  EXPECT_EQ(vocabulary.Find("<tool>"), -1);
  EXPECT_EQ(vocabulary.Find(""), -1);
  EXPECT_EQ(vocabulary.Find("helloo"), -1);
}

TEST(Vocabulary, TheFirstOfEqualTextsCounts) {
  const std::string bytes =
      TinyVocabulary("llama").Tokens({{"a"}, {"b"}, {"a"}}, /*scores=*/false).Finish();
  const Vocabulary vocabulary(Parse(bytes), Spelling::kPlain);
  EXPECT_EQ(vocabulary.Find("a"), 0);
}

TEST(Vocabulary, TheLongestNameAtAPlaceIsFound) {
  const std::string bytes =
      TinyVocabulary("llama")
          .Tokens({{"<a", 4}, {"<a>", 4}, {"<ab>", 3}, {"<", 1}}, /*scores=*/false)
          .Finish();
  const Vocabulary vocabulary(Parse(bytes), Spelling::kPlain);
  const TokenMatcher names = vocabulary.Matcher(/*with_special=*/false);
  const TokenMatcher all = vocabulary.Matcher(/*with_special=*/true);
  size_t place = 0;
  EXPECT_EQ(names.FindFrom("x<<a><ab>", 0, &place).token, 1);
  EXPECT_EQ(place, 2u);
  EXPECT_EQ(names.FindFrom("x<<a><ab>", 5, &place).token, 0);
  EXPECT_EQ(all.FindFrom("x<<a><ab>", 5, &place).token, 2);
  EXPECT_EQ(all.FindFrom("x<<a><ab>", 5, &place).bytes, 4u);
  EXPECT_EQ(all.FindFrom("<", 0, &place).token, -1);
  EXPECT_EQ(place, 1u);
}

TEST(Vocabulary, EndsAreTheIdsOfTheFileAndControlTokensOfKnownNames) {
  const std::string bytes =
      TinyVocabulary("llama")
          .Tokens({{"a"}, {"</s>", 3}, {"<|eot_id|>", 3}, {"<pad>", 3}, {"b"}},
                  /*scores=*/false)
          .Id("eos", 4)
          .Finish();
  const Vocabulary vocabulary(Parse(bytes), Spelling::kPlain);
  std::vector<bool> ends;
  for (Token token = 0; token < vocabulary.size(); ++token) ends.push_back(vocabulary.IsEnd(token));
  EXPECT_THAT(ends, testing::ElementsAre(false, true, true, false, true));
}

TEST(Vocabulary, MarksOfTurnsAreControlTokensWhateverTheirType) {
  const std::string bytes =
      TinyVocabulary("llama").Tokens({{"<|im_end|>", 4}, {"<tool>", 4}}, /*scores=*/false).Finish();
  const Vocabulary vocabulary(Parse(bytes), Spelling::kPlain);
  EXPECT_TRUE(vocabulary.IsSpecial(0));
  EXPECT_TRUE(vocabulary.IsEnd(0));
  EXPECT_FALSE(vocabulary.IsSpecial(1));
}

TEST(Vocabulary, AnIdOfMinusOneMeansNone) {
  const std::string bytes =
      TinyVocabulary("llama").Tokens({{"a"}}, /*scores=*/false).Id("bos", 0xFFFFFFFFu).Finish();
  EXPECT_EQ(Vocabulary(Parse(bytes), Spelling::kPlain).bos(), -1);
}

TEST(Vocabulary, DamagedMetadataIsRefusedWithWhatWasFound) {
  const TinyVocabulary empty = TinyVocabulary("gpt2");
  EXPECT_THAT(MessageOf(empty, ErrorKind::kCorrupt), HasSubstr("tokenizer.ggml.tokens"));
  TinyVocabulary types("gpt2");
  types.Texts("tokenizer.ggml.tokens", {"a", "b"}).Types({1});
  EXPECT_THAT(MessageOf(types, ErrorKind::kCorrupt),
              HasSubstr("token_type: found 1 whole numbers, expected 2"));
  TinyVocabulary wild("gpt2");
  wild.Texts("tokenizer.ggml.tokens", {"a", "b"}).Types({1, 7});
  EXPECT_THAT(MessageOf(wild, ErrorKind::kCorrupt), HasSubstr("found 7 for token 1"));
  TinyVocabulary id("gpt2");
  id.Texts("tokenizer.ggml.tokens", {"a", "b"}).Id("eos", 2);
  EXPECT_THAT(MessageOf(id, ErrorKind::kCorrupt),
              HasSubstr("eos_token_id: found 2, expected 0 to 1"));
}

TEST(Vocabulary, UnknownTokenizersAreNamed) {
  EXPECT_THAT(MessageOf(TinyVocabulary("bert"), ErrorKind::kUnsupported), HasSubstr("\"bert\""));
  EXPECT_THAT(MessageOf(TinyBpe("tekken"), ErrorKind::kUnsupported),
              testing::AllOf(HasSubstr("\"tekken\""), HasSubstr("llama-bpe")));
}

}  // namespace
}  // namespace quantspec
