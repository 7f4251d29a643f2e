#include "text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "text/tiny_vocabulary.h"

namespace quantspec {
namespace {

// A vocabulary whose texts stand as they are.
TokenizerSpec Plain(std::vector<TinyToken> tokens) {
  return TinySpec(TokenizerKind::kSentencePiece, std::move(tokens));
}

TEST(Vocabulary, NormalTokensAreFoundByTheirBytesAndSpecialOnesAreNot) {
  const Vocabulary vocabulary(TinyBpe());
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
  const Vocabulary vocabulary(Plain({{"a"}, {"b"}, {"a"}}));
  EXPECT_EQ(vocabulary.Find("a"), 0);
}

TEST(Vocabulary, TheLongestNameAtAPlaceIsFound) {
  const Vocabulary vocabulary(Plain({{"<a", TokenType::kUserDefined},
                                     {"<a>", TokenType::kUserDefined},
                                     {"<ab>", TokenType::kControl},
                                     {"<"}}));
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

TEST(Vocabulary, EndsAreThoseOfTheSourceAndControlTokensOfKnownNames) {
  TokenizerSpec spec = Plain({{"a"},
                              {"</s>", TokenType::kControl},
                              {"<|eot_id|>", TokenType::kControl},
                              {"<pad>", TokenType::kControl},
                              {"b"}});
  spec.ends = {4};
  const Vocabulary vocabulary(spec);
  std::vector<bool> ends;
  for (Token token = 0; token < vocabulary.size(); ++token) ends.push_back(vocabulary.IsEnd(token));
  EXPECT_THAT(ends, testing::ElementsAre(false, true, true, false, true));
}

TEST(Vocabulary, MarksOfTurnsAreControlTokensWhateverTheirType) {
  const Vocabulary vocabulary(
      Plain({{"<|im_end|>", TokenType::kUserDefined}, {"<tool>", TokenType::kUserDefined}}));
  EXPECT_TRUE(vocabulary.IsSpecial(0));
  EXPECT_TRUE(vocabulary.IsEnd(0));
  EXPECT_FALSE(vocabulary.IsSpecial(1));
}

TEST(Vocabulary, WithoutTypesNamesTellControlTokens) {
  TokenizerSpec spec = Plain({{"<|im_end|>"}, {"<s>"}, {"a"}});
  spec.types.clear();
  const Vocabulary vocabulary(spec);
  EXPECT_TRUE(vocabulary.IsSpecial(0));
  EXPECT_TRUE(vocabulary.IsSpecial(1));
  EXPECT_FALSE(vocabulary.IsSpecial(2));
}

}  // namespace
}  // namespace quantspec
