#include "text/merger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace quantspec {
namespace {

constexpr int kLetters = 3;

// Pairs of tokens and what they make; the order is the made token.
using Rules = std::map<std::pair<Token, Token>, Token>;

std::vector<Token> Merge(const std::vector<Token>& text, const Rules& rules) {
  Merger merger;
  for (size_t i = 0; i < text.size(); ++i) {
    merger.Add(static_cast<uint32_t>(i), static_cast<uint32_t>(i + 1), text[i]);
  }
  merger.Run([&](const Symbol& left, const Symbol& right) -> Join {
    const auto found = rules.find({left.token, right.token});
    if (found == rules.end()) return {};
    return {found->second, static_cast<uint32_t>(found->second)};
  });
  std::vector<Token> tokens;
  merger.ForEach([&](const Symbol& symbol) { tokens.push_back(symbol.token); });
  return tokens;
}

// By the definition: again and again the best pair, leftmost first.
std::vector<Token> MergePlainly(std::vector<Token> text, const Rules& rules) {
  for (;;) {
    size_t best = text.size();
    Token made = std::numeric_limits<Token>::max();
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      const auto found = rules.find({text[i], text[i + 1]});
      if (found == rules.end() || found->second >= made) continue;
      best = i;
      made = found->second;
    }
    if (best == text.size()) return text;
    text[best] = made;
    text.erase(text.begin() + static_cast<int>(best) + 1);
  }
}

TEST(Merger, EqualPairsAreJoinedFromTheLeft) {
  EXPECT_THAT(Merge({0, 0, 0}, {{{0, 0}, 5}}), testing::ElementsAre(5, 0));
  EXPECT_THAT(Merge({}, {}), testing::IsEmpty());
  EXPECT_THAT(Merge({7}, {}), testing::ElementsAre(7));
}

TEST(Merger, AgreesWithTheDefinitionOnRandomRules) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    uint64_t drawn = 0;
    const auto draw = [&](size_t below) { return RandomBits(seed, 0, drawn++) % below; };
    Rules rules;
    Token made = kLetters;
    for (size_t i = 0; i < 12; ++i, ++made) {
      const auto any = [&] { return static_cast<Token>(draw(static_cast<size_t>(made))); };
      const Token left = any(), right = any();
      rules.emplace(std::pair(left, right), made);
    }
    std::vector<Token> text(draw(40));
    for (Token& token : text) token = static_cast<Token>(draw(kLetters));
    ASSERT_EQ(Merge(text, rules), MergePlainly(text, rules)) << "seed " << seed;
  }
}

TEST(Merger, HigherScoresComeFirst) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> falling = {kInfinity, 2.5f, 1,     1e-40f,    0,
                                      -1e-40f,   -1,   -1e9f, -kInfinity};
  for (size_t i = 0; i + 1 < falling.size(); ++i) {
    EXPECT_LT(OrderOfScore(falling[i]), OrderOfScore(falling[i + 1])) << falling[i];
  }
  EXPECT_EQ(OrderOfScore(0.0f), OrderOfScore(-0.0f));
}

}  // namespace
}  // namespace quantspec
