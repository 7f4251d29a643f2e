#include "text/composition.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace quantspec {
namespace {

TEST(Composition, MarksJoinTheirLetters) {
  EXPECT_EQ(Compose("e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(Compose("plain"), "plain");
  EXPECT_EQ(Compose(""), "");
  EXPECT_EQ(Compose("\xCC\x81"), "\xCC\x81");
}

TEST(Composition, MarksAreSortedByTheirClass) {
  // o + circumflex + dot below and o + dot below + circumflex are the same letter.
  EXPECT_EQ(Compose("o\xCC\x82\xCC\xA3"), "\xE1\xBB\x99");
  EXPECT_EQ(Compose("o\xCC\xA3\xCC\x82"), "\xE1\xBB\x99");
}

TEST(Composition, HangulIsComposedBySum) {
  EXPECT_EQ(Compose("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"), "\xEA\xB0\x81");
  EXPECT_EQ(Compose("\xEA\xB0\x80\xE1\x86\xA8"), "\xEA\xB0\x81");
}

TEST(Composition, SingletonsAreReplacedAndExclusionsStayApart) {
  EXPECT_EQ(Compose("\xE2\x84\xA6"), "\xCE\xA9");                  // ohm sign
  EXPECT_EQ(Compose("\xE0\xA5\x98"), "\xE0\xA4\x95\xE0\xA4\xBC");  // Devanagari qa
}

TEST(Composition, TextThatMayChangeIsRecognised) {
  for (const char* text : {"e\xCC\x81", "\xE2\x84\xA6", "\xE1\x84\x80\xE1\x85\xA1"}) {
    EXPECT_TRUE(MayNeedComposing(text)) << text;
  }
  EXPECT_FALSE(MayNeedComposing("caf\xC3\xA9"));
}

TEST(Composition, AMegabyteOfMarksIsNoProblem) {
  std::string text = "a";
  for (int i = 0; i < 250'000; ++i) text += "\xCC\x81\xCC\xA3";
  const auto start = std::chrono::steady_clock::now();
  const std::string composed = Compose(text);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_LE(composed.size(), text.size());
}

}  // namespace
}  // namespace quantspec
