#include "formats/hf_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantspec/error.h"

namespace quantspec {
namespace {

TEST(HfPattern, TranslatesWhatTheDialectsReadDifferently) {
  EXPECT_EQ(TranslatePattern("a$", "t"), "a(?=\\n|\\z)");
  EXPECT_EQ(TranslatePattern("\\u4e00-\\x41", "t"), "\\x{4e00}-\\x{41}");
  EXPECT_THAT(TranslatePattern("\\s", "t"), testing::StartsWith("[\\t-\\r "));
  EXPECT_THAT(TranslatePattern("[^\\s\\p{L}]", "t"), testing::EndsWith("\\x{3000}\\p{L}]"));
  EXPECT_THAT(TranslatePattern("\\s+(?!\\S)", "t"), testing::HasSubstr("(?![^\\t-\\r "));
}

TEST(HfPattern, LeavesTheRestAlone) {
  for (const char* pattern : {"(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}", "a++|b?+",
                              "[!-/\\[\\]^_`{|}~]", "\\p{Lu}\\P{N}(?<=x)"}) {
    EXPECT_EQ(TranslatePattern(pattern, "t"), pattern);
  }
}

TEST(HfPattern, RefusesWhatMayMeanSomethingElse) {
  for (const char* pattern : {"\\h", "\\w", "\\R", "\\K", "[a&&[b]]", "[[:alpha:]]", "a{1,2}+",
                              "(?<name>a)", "(?m:a)", "\\pL", "\\u12", "a\\", "[]a]", "\\1"}) {
    try {
      TranslatePattern(pattern, "tokenizer.json");
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
      EXPECT_THAT(error.what(), testing::StartsWith("tokenizer.json: pattern"));
    }
  }
}

TEST(HfPattern, LiteralsMatchThemselves) {
  EXPECT_EQ(LiteralPattern("a.b[c]\\"), "a\\.b\\[c\\]\\\\");
}

}  // namespace
}  // namespace quantspec
