#include "cli/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantspec/error.h"

namespace quantspec::cli {
namespace {

using testing::HasSubstr;
using testing::Optional;
using namespace std::string_literals;

TEST(FindUtf8Faults, AcceptsEveryLengthOfCharacter) {
  EXPECT_EQ(FindUtf8Faults("a\u00e9\u20ac\U0001F600").count, 0u);
  EXPECT_EQ(FindUtf8Faults("").count, 0u);
}

TEST(FindUtf8Faults, FindsOverlongSurrogateAndCutCharacters) {
  for (const char* bad : {"\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80", "\xE2\x82", "\x80"}) {
    EXPECT_GT(FindUtf8Faults(bad).count, 0u);
  }
  const Utf8Faults faults = FindUtf8Faults("ok\xFFok\xFE");
  EXPECT_EQ(faults.count, 2u);
  EXPECT_EQ(faults.first, 2u);
}

TEST(CheckText, RefusesBinaryDataAndSaysWhere) {
  try {
    CheckText({"a.bin", "ab\0c"s});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("a.bin: byte 2 is NUL"));
  }
  EXPECT_THROW(CheckText({"b", "\xFF\xFE\xFD okay"}), Error);
}

TEST(CheckText, WarnsOfAFewFaultsAndOfNoneNot) {
  EXPECT_EQ(CheckText({"a", "clean"}), std::nullopt);
  EXPECT_THAT(CheckText({"a", "caf\xE9 and a lot of other text"}),
              Optional(HasSubstr("1 byte is not valid UTF-8, the first at byte 3")));
}

TEST(ReadDocument, NamesTheFileThatCannotBeOpened) {
  try {
    ReadDocument("/nonexistent/file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_THAT(error.what(), HasSubstr("/nonexistent/file"));
  }
  EXPECT_THROW(ReadDocument("/"), Error);  // a folder
}

TEST(JoinTexts, PutsABlankLineBetweenParagraphs) {
  const Document documents[] = {{"a", "one\n"}, {"b", "two"}};
  EXPECT_EQ(JoinTexts(documents, "why?", Join::kParagraphs), "one\n\ntwo\n\nwhy?");
  EXPECT_EQ(JoinTexts(documents, "why?", Join::kAsIs), "one\ntwowhy?");
  EXPECT_EQ(JoinTexts(documents, "", Join::kParagraphs), "one\n\ntwo");
  EXPECT_EQ(JoinTexts({}, "why?", Join::kParagraphs), "why?");
}

}  // namespace
}  // namespace quantspec::cli
