#include "cli/wide_text.h"

#include <gtest/gtest.h>

namespace quantspec::cli {
namespace {

TEST(WideText, GoesThereAndBackForEveryLengthOfCharacter) {
  const std::string text = "a\u00e9\u4e2d\U0001F600\x7F\U0010FFFF";
  EXPECT_EQ(Widen(text), L"a\u00e9\u4e2d\U0001F600\x7F\U0010FFFF");
  EXPECT_EQ(Narrow(Widen(text)), text);
}

TEST(WideText, ReplacesBrokenBytesOneByOne) {
  EXPECT_EQ(Widen("a\xFF\xE4\xB8z\xE4\xB8"), L"a\uFFFD\uFFFD\uFFFDz\uFFFD\uFFFD");
  EXPECT_EQ(Narrow(std::wstring{wchar_t{0xD800}, wchar_t{0x110000}}), "\uFFFD\uFFFD");
}

TEST(WideText, WaitsForTheEndOfACharacterAndNoLonger) {
  EXPECT_EQ(ReadCharacter("").bytes, 0u);
  EXPECT_EQ(ReadCharacter("\xE4\xB8").bytes, 0u);
  EXPECT_EQ(ReadCharacter("\xE4\xB8\xAD").code, wchar_t{0x4E2D});
  EXPECT_EQ(ReadCharacter("\xE4z").bytes, 1u);
  EXPECT_EQ(ReadCharacter("\xE4z").code, wchar_t{0xFFFD});
  EXPECT_EQ(ReadCharacter("\x80").bytes, 1u);
}

}  // namespace
}  // namespace quantspec::cli
