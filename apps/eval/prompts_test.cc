#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "eval/data_folder.h"
#include "eval/datasets.h"
#include "quantspec/engine.h"

namespace quantspec::eval {
namespace {

using testing::HasSubstr;

// 10 bytes a number, so that every stretch tells where it is from.
std::string Numbered(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    text += std::string(9 - number.size(), '0') + number + " ";
  }
  return text;
}

std::string TextOf(const std::vector<Token>& tokens) { return ByteTokenizer(true).Decode(tokens); }

TEST(BuildPrompt, OfTheAuthorsCutsAndAddsTheSuffixWithItsBos) {
  const EvalText text{"x", "t", Numbered(100), "?!", {}};
  const auto prompt = BuildPrompt(text, ByteTokenizer(true), nullptr, 40, Protocol::kAuthors, 0);
  ASSERT_TRUE(prompt);
  EXPECT_EQ(prompt->size(), 40u);
  EXPECT_EQ(TextOf(*prompt), "<s>" + text.text.substr(0, 36) + "<s>?!");
  const auto plain = BuildPrompt(text, ByteTokenizer(false), nullptr, 40, Protocol::kAuthors, 0);
  EXPECT_EQ(TextOf(*plain), text.text.substr(0, 38) + "?!");
}

TEST(BuildPrompt, OfTheAuthorsTakesPg19BehindItsFrontMatter) {
  const EvalText text{"pg19", "t", Numbered(1000), "", {}};  // 10,000 bytes
  const ByteTokenizer tokenizer(true);
  const auto prompt = BuildPrompt(text, tokenizer, nullptr, 500, Protocol::kAuthors, 0);
  // The leading BOS counts among the 8,000; the first token of a piece is replaced.
  EXPECT_EQ(TextOf(*prompt), "<s>" + text.text.substr(8000, 499));
  EXPECT_TRUE(BuildPrompt(text, tokenizer, nullptr, 500, Protocol::kAuthors, 3));
  const EvalText whole{"pg19", "t", Numbered(1000).substr(0, 9999), "", {}};
  // Four whole pieces, of which the last is dropped.
  EXPECT_TRUE(BuildPrompt(whole, tokenizer, nullptr, 500, Protocol::kAuthors, 2));
  EXPECT_FALSE(BuildPrompt(whole, tokenizer, nullptr, 500, Protocol::kAuthors, 3));
}

TEST(BuildPrompt, TakesDisjointStretches) {
  const EvalText text{"x", "t", Numbered(100), "?", {}};
  const ByteTokenizer tokenizer(false);
  for (const Protocol protocol : {Protocol::kAuthors, Protocol::kClean}) {
    std::string joined;
    int parts = 0;
    while (const auto prompt = BuildPrompt(text, tokenizer, nullptr, 101, protocol, parts)) {
      EXPECT_EQ(prompt->size(), 101u);
      joined += TextOf(*prompt).substr(0, 100);
      ++parts;
    }
    EXPECT_EQ(parts, 10);
    EXPECT_EQ(joined, text.text);
  }
}

TEST(BuildPrompt, CleanHasOneBosAndTheSuffixAsText) {
  const EvalText text{"pg19", "t", Numbered(100), "<s>?", {}};
  const auto prompt = BuildPrompt(text, ByteTokenizer(true), nullptr, 40, Protocol::kClean, 0);
  EXPECT_EQ(prompt->size(), 40u);
  EXPECT_EQ((*prompt)[0], 300);
  EXPECT_EQ(std::count(prompt->begin(), prompt->end(), 300), 1);
  EXPECT_EQ(TextOf(*prompt), "<s>" + text.text.substr(0, 35) + "<s>?");
}

TEST(BuildPrompt, CleanFillsAChatTurnExactly) {
  // Cut after "a", the text and a suffix that begins with "b" share a token: fewer than the sum.
  std::string abs;
  for (int i = 0; i < 300; ++i) abs += i % 3 == 0 ? "ab" : "a";
  const BracketChat chat;
  for (int context = 30; context < 60; ++context) {
    for (const int part : {0, 1, 2}) {
      const EvalText text{"x", "t", abs, "b, why?", {}};
      const auto prompt =
          BuildPrompt(text, ByteTokenizer(true), &chat, context, Protocol::kClean, part);
      ASSERT_TRUE(prompt) << context;
      EXPECT_EQ(prompt->size(), static_cast<size_t>(context));
      EXPECT_THAT(TextOf(*prompt), testing::StartsWith("<s>[user]"));
      EXPECT_THAT(TextOf(*prompt), testing::EndsWith("b, why?[answer]"));
    }
  }
}

TEST(BuildPrompt, GivesNothingForATextThatIsTooShort) {
  const EvalText text{"x", "t", Numbered(3), "?", {}};
  const ByteTokenizer tokenizer(true);
  const BracketChat chat;
  for (const Protocol protocol : {Protocol::kAuthors, Protocol::kClean}) {
    EXPECT_FALSE(BuildPrompt(text, tokenizer, nullptr, 100, protocol, 0));
    EXPECT_FALSE(BuildPrompt(text, tokenizer, nullptr, 20, protocol, 2));
    EXPECT_FALSE(BuildPrompt(text, tokenizer, &chat, 100, protocol, 0));
    EXPECT_FALSE(BuildPrompt({"x", "t", "", "", {}}, tokenizer, &chat, 100, protocol, 0));
  }
}

TEST(BuildPrompt, SaysThatAContextIsTooShortForTheSuffix) {
  const EvalText text{"x", "t", Numbered(30), "a question", {}};
  const BracketChat chat;
  EXPECT_THAT(
      MessageOf([&] { BuildPrompt(text, ByteTokenizer(true), nullptr, 5, Protocol::kClean, 0); }),
      HasSubstr("context of 5 tokens has no room"));
  EXPECT_THROW(BuildPrompt(text, ByteTokenizer(true), &chat, 9, Protocol::kClean, 0), Error);
  EXPECT_THROW(BuildPrompt(text, ByteTokenizer(true), nullptr, 11, Protocol::kAuthors, 0), Error);
}

TEST(BuildPrompt, OfALongTextIsThatOfItsHead) {
  const EvalText text{"x", "t", Numbered(20000), "", {}};
  const ByteTokenizer tokenizer(true);
  const auto prompt = BuildPrompt(text, tokenizer, nullptr, 6000, Protocol::kClean, 2);
  EXPECT_EQ(TextOf(*prompt), "<s>" + text.text.substr(2 * 5999, 5999));
}

// With a real tokenizer and template every built-in text has excerpts of 4,096 tokens enough.
TEST(BuildPrompt, OfBuiltinTextsHasExactlyTheContext) {
  const char* path = std::getenv("QUANTSPEC_TEST_MODEL");
  if (path == nullptr) GTEST_SKIP() << "QUANTSPEC_TEST_MODEL names no model";
  EngineOptions options;
  options.model_path = path;
  const auto model = ModelFile::Open(options);
  for (const std::string& name : DatasetNames("builtin")) {
    for (const EvalText& text : LoadDataset("builtin", name, 2)) {
      for (const auto protocol : {Protocol::kAuthors, Protocol::kClean}) {
        for (const int part : {0, 3, 7}) {
          const auto prompt =
              BuildPrompt(text, model->tokenizer(), model->chat(), 4096, protocol, part);
          ASSERT_TRUE(prompt) << text.name << " part " << part;
          EXPECT_EQ(prompt->size(), 4096u);
        }
      }
      EXPECT_TRUE(BuildPrompt(text, model->tokenizer(), model->chat(), 16384, Protocol::kClean, 1))
          << text.name;
    }
  }
}

}  // namespace
}  // namespace quantspec::eval
