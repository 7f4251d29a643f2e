#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::ElementsAre;

std::vector<std::string> Cut(std::string_view name, const std::string& text) {
  const PreTokenizer pre_tokenizer(name, "tiny.gguf");
  PreTokenizer::Scratch scratch;
  std::vector<std::string> pieces;
  uint32_t begin = 0;
  for (const uint32_t end : pre_tokenizer.Split(text, scratch)) {
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return pieces;
}

TEST(PreTokenizer, Gpt2TakesOneSpaceWithAWordAndLeavesTheOthers) {
  EXPECT_THAT(Cut("gpt-2", "it's  12 a!"), ElementsAre("it", "'s", " ", " 12", " a", "!"));
  EXPECT_THAT(Cut("default", "a  \n"), ElementsAre("a", "  \n"));
}

TEST(PreTokenizer, SmollmTakesDigitsOneByOne) {
  EXPECT_THAT(Cut("smollm", "a 12 b"), ElementsAre("a", " ", "1", "2", " b"));
}

TEST(PreTokenizer, Llama3TakesDigitsInThreesAndOneSignWithAWord) {
  EXPECT_THAT(Cut("llama-bpe", "x 12345 (y)\n\n"),
              ElementsAre("x", " ", "123", "45", " (", "y", ")\n\n"));
  EXPECT_THAT(Cut("llama3", "I'LL"), ElementsAre("I", "'LL"));
}

TEST(PreTokenizer, Qwen2TakesDigitsOneByOneAndComposes) {
  EXPECT_THAT(Cut("qwen2", "x 12"), ElementsAre("x", " ", "1", "2"));
  EXPECT_TRUE(PreTokenizer("qwen2", "").composes());
}

TEST(PreTokenizer, DeepseekCutsLinesCasedLettersPunctuationAndEastAsianText) {
  EXPECT_THAT(Cut("deepseek-llm", "ab\n c1, \xE4\xBD\xA0"),
              ElementsAre("ab", "\n", " c", "1", ",", " ", "\xE4\xBD\xA0"));
}

TEST(PreTokenizer, AnUnknownNameIsRefusedWithTheKnownOnes) {
  try {
    PreTokenizer("klingon", "tiny.gguf");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::StartsWith("tiny.gguf"), testing::HasSubstr("\"klingon\""),
                               testing::HasSubstr("deepseek-llm")));
  }
}

}  // namespace
}  // namespace quantspec
