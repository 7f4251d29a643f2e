#include "eval/builtin_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace quantspec::eval {
namespace {

using testing::ElementsAre;
using testing::Not;

TEST(BuiltinTexts, AreWhatTheReadmeLists) {
  std::vector<std::string> names;
  size_t bytes = 0;
  for (const BuiltinText& text : BuiltinTexts()) {
    names.emplace_back(text.name);
    bytes += text.text.size();
    EXPECT_GT(text.text.size(), 100'000u) << text.name;
    EXPECT_EQ(text.text.back(), '\n');
    EXPECT_EQ(text.text.find('\0'), std::string_view::npos);
    EXPECT_EQ(text.text.find("Gutenberg"), std::string_view::npos) << text.name;
  }
  EXPECT_THAT(names,
              ElementsAre("code", "jargon", "novel-beginning", "novel-middle", "spanish", "story"));
  EXPECT_LT(bytes, 1'200'000u);
}

TEST(BuiltinTexts, ReachTheProgramByteForByte) {
  for (const BuiltinText& text : BuiltinTexts()) {
    if (text.name == "novel-beginning") {
      EXPECT_TRUE(text.text.starts_with("CHAPTER 1. Loomings.\n\nCall me Ishmael."));
    }
    if (text.name == "code") {
      // Semicolons, brackets and backslashes, which CMake could have taken for its own.
      EXPECT_NE(text.text.find("p->zBuf[p->nUsed++] = '\\\\';\n"), std::string_view::npos);
    }
    if (text.name == "spanish") {
      EXPECT_TRUE(text.text.starts_with("G\u00e9nesis, cap\u00edtulo 1\n"));
    }
  }
}

}  // namespace
}  // namespace quantspec::eval
