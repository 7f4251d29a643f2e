#include <gtest/gtest.h>

#include "quantspec/text.h"

namespace quantspec {
namespace {

TEST(StopText, PassesTextOnAtOnceWhenNothingBegins) {
  StopText stop({"END"});
  EXPECT_EQ(stop.Push("hello "), "hello ");
  EXPECT_EQ(stop.Push("world"), "world");
  EXPECT_EQ(stop.Finish(), "");
  EXPECT_FALSE(stop.found());
}

TEST(StopText, FindsAStopThatSpansPieces) {
  StopText stop({"END"});
  EXPECT_EQ(stop.Push("the E"), "the ");
  EXPECT_EQ(stop.Push("N"), "");
  EXPECT_EQ(stop.Push("D of it"), "");
  EXPECT_TRUE(stop.found());
  EXPECT_EQ(stop.Push("more"), "");
  EXPECT_EQ(stop.Finish(), "");
}

TEST(StopText, GivesBackWhatTurnsOutNotToBeAStop) {
  StopText stop({"aab"});
  EXPECT_EQ(stop.Push("aa"), "");
  EXPECT_EQ(stop.Push("a"), "a");  // the last two may still begin it
  EXPECT_EQ(stop.Push("c"), "aac");
  EXPECT_EQ(stop.Push("a"), "");
  EXPECT_EQ(stop.Finish(), "a");
}

TEST(StopText, TakesTheEarliestOfSeveral) {
  StopText stop({"\n\n", "Question:", "x"});
  EXPECT_EQ(stop.Push("Answer\nQuestion: x"), "Answer\n");
  EXPECT_TRUE(stop.found());
  EXPECT_EQ(stop.which(), "Question:");
}

TEST(StopText, WithoutStopsHoldsNothingBack) {
  StopText stop({});
  EXPECT_EQ(stop.Push("anything"), "anything");
  EXPECT_FALSE(stop.found());
}

}  // namespace
}  // namespace quantspec
