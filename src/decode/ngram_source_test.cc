#include "decode/ngram_source.h"

#include <gtest/gtest.h>

#include <vector>

namespace quantspec {
namespace {

std::vector<Token> Proposed(const std::vector<Token>& tokens, size_t most) {
  std::vector<Token> room(most, -7);
  NgramSource source;
  room.resize(static_cast<size_t>(source.Propose(tokens, room)));
  return room;
}

using Tokens = std::vector<Token>;

TEST(NgramSource, ProposesWhatFollowedTheLastTokens) {
  EXPECT_EQ(Proposed({1, 2, 3, 4, 5, 1, 2}, 3), (Tokens{3, 4, 5}));
}

TEST(NgramSource, PrefersTheLongestMatchAndThenTheLatest) {
  EXPECT_EQ(Proposed({9, 1, 2, 10, 1, 2, 11, 9, 1, 2}, 1), Tokens{10});
  EXPECT_EQ(Proposed({1, 2, 10, 1, 2, 11, 1, 2}, 1), Tokens{11});
}

TEST(NgramSource, NeedsTwoTokensThatMatch) {
  EXPECT_EQ(Proposed({1, 2, 3, 1}, 4), Tokens{});
  EXPECT_EQ(Proposed({1, 2, 3, 4}, 4), Tokens{});
  EXPECT_EQ(Proposed({1}, 4), Tokens{});
  EXPECT_EQ(Proposed({}, 4), Tokens{});
  EXPECT_EQ(Proposed({1, 2, 3, 1, 2}, 0), Tokens{});
}

TEST(NgramSource, GoesOnWithAPeriodThatReachesTheEnd) {
  EXPECT_EQ(Proposed({7, 1, 2, 3, 1, 2, 3}, 7), (Tokens{1, 2, 3, 1, 2, 3, 1}));
  EXPECT_EQ(Proposed({5, 5, 5}, 4), (Tokens{5, 5, 5, 5}));
}

TEST(NgramSource, TakesTheLastOfManyFullMatches) {
  Tokens tokens;
  for (int copy = 0; copy < 3; ++copy) {
    for (int i = 0; i < 20; ++i) tokens.push_back(i);
    tokens.push_back(100 + copy);
  }
  for (int i = 0; i < 20; ++i) tokens.push_back(i);
  EXPECT_EQ(Proposed(tokens, 2), (Tokens{102, 0}));
}

}  // namespace
}  // namespace quantspec
