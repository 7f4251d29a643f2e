#include "eval/needles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "eval/builtin_texts.h"
#include "eval/data_folder.h"

namespace quantspec::eval {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kNovel =
    "Call me Ishmael. Some years ago I went to sea! Why? Nobody knows.\nIt "
    "was a damp, drizzly November. The sea is wide. ";

std::vector<NeedleTask> AllTasks() {
  return {NeedleTask::kSingle, NeedleTask::kManyKeys, NeedleTask::kManyValues, NeedleTask::kWords};
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(HideNeedles, PutsThemBetweenSentencesOfTheUnchangedText) {
  for (const NeedleTask task : AllTasks()) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      const NeedleText hidden = HideNeedles(kNovel, {task, 3, seed});
      std::string rest = hidden.text;
      for (const char* begin : {" One of the special", " The list of words"}) {
        for (size_t at; (at = rest.find(begin)) != std::string::npos;) {
          rest.erase(at, rest.find('.', at) + 1 - at);
        }
      }
      EXPECT_EQ(rest, kNovel);
      for (const std::string& answer : hidden.answers) {
        EXPECT_EQ(CountOf(hidden.text, answer), 1u);
        EXPECT_EQ(CountOf(hidden.suffix, answer), 0u);
      }
    }
  }
}

TEST(HideNeedles, AsksForOneOfManyKeysOrForAllValues) {
  const NeedleText keys = HideNeedles(kNovel, {NeedleTask::kManyKeys, 5, 1});
  EXPECT_THAT(keys.answers, SizeIs(1));
  EXPECT_EQ(CountOf(keys.text, "special magic numbers for "), 5u);
  const size_t begin = keys.suffix.find("for ") + 4;
  const std::string key = keys.suffix.substr(begin, keys.suffix.find(' ', begin) - begin);
  EXPECT_EQ(CountOf(keys.text, "for " + key + " is: " + keys.answers[0] + "."), 1u);
  EXPECT_EQ(CountOf(keys.text, key), 1u);

  const NeedleText values = HideNeedles(kNovel, {NeedleTask::kManyValues, 5, 1});
  EXPECT_THAT(values.answers, SizeIs(5));
  EXPECT_THAT(values.suffix, EndsWith(" are:"));
  EXPECT_THAT(HideNeedles(kNovel, {NeedleTask::kSingle, 5, 1}).answers, SizeIs(1));
  const NeedleText words = HideNeedles(kNovel, {NeedleTask::kWords, 20, 1});
  EXPECT_EQ(std::set<std::string>(words.answers.begin(), words.answers.end()).size(), 20u);
}

TEST(HideNeedles, DependsOnTheSeedAlone) {
  std::set<std::string> texts;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const NeedleText hidden = HideNeedles(kNovel, {NeedleTask::kSingle, 1, seed});
    EXPECT_EQ(hidden.text, HideNeedles(kNovel, {NeedleTask::kSingle, 1, seed}).text);
    texts.insert(hidden.text);
  }
  EXPECT_EQ(texts.size(), 20u);
}

TEST(HideNeedles, RefusesWhatItCannotDo) {
  EXPECT_THROW(HideNeedles("no sentence", {NeedleTask::kSingle, 1, 0}), Error);
  EXPECT_THROW(HideNeedles(kNovel, {NeedleTask::kWords, 0, 0}), Error);
  EXPECT_THROW(HideNeedles(kNovel, {NeedleTask::kWords, 65, 0}), Error);
}

TEST(BuildNeedles, FillsTheContextWithWholeSentences) {
  const std::string_view novel = BuiltinTexts()[2].text;
  const ByteTokenizer tokenizer(true);
  const BracketChat chat;
  for (const NeedleTask task : AllTasks()) {
    for (const ChatFormat* format :
         {static_cast<const ChatFormat*>(nullptr), static_cast<const ChatFormat*>(&chat)}) {
      const auto prompt = BuildNeedles(novel, tokenizer, format, 8000, {task, 4, 9});
      ASSERT_TRUE(prompt);
      EXPECT_LE(prompt->tokens.size(), 8000u);
      EXPECT_GT(prompt->tokens.size(), 7200u);
      const std::string text = tokenizer.Decode(prompt->tokens);
      for (const std::string& answer : prompt->answers) EXPECT_THAT(text, HasSubstr(answer));
      EXPECT_THAT(text, EndsWith(format == nullptr ? ":" : ":[answer]"));
    }
  }
  EXPECT_FALSE(BuildNeedles(novel, tokenizer, nullptr, 50, {NeedleTask::kSingle, 1, 0}));
  EXPECT_FALSE(BuildNeedles(kNovel, tokenizer, nullptr, 8000, {NeedleTask::kSingle, 1, 0}));
}

TEST(ScoreNeedles, IsTheShareOfAnswersFound) {
  const std::vector<std::string> answers = {"1234567", "Amber-Anchor"};
  EXPECT_DOUBLE_EQ(ScoreNeedles("it is 1234567.", answers), 0.5);
  EXPECT_DOUBLE_EQ(ScoreNeedles("1234567, amber-anchor", answers), 1);
  EXPECT_DOUBLE_EQ(ScoreNeedles("123456", answers), 0);
  EXPECT_DOUBLE_EQ(ScoreNeedles("x", {}), 1);
}

}  // namespace
}  // namespace quantspec::eval
