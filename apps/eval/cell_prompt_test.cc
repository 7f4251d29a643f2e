#include "eval/cell_prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/data_folder.h"

namespace quantspec::eval {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Cell CellOf(const std::string& dataset, int context, int example) {
  Cell cell;
  cell.experiment = "table4";
  cell.dataset = dataset;
  cell.protocol = "authors";
  cell.context = context;
  cell.example = example;
  return cell;
}

class Prompts : public testing::Test {
 protected:
  // "name[begin", or why there is none.
  std::string Find(const std::string& dataset, int context, int example,
                   const std::string& data = "") {
    TextShelf shelf(data.empty() ? folder_.path() : data);
    std::string why;
    const auto prompt =
        FindPrompt(CellOf(dataset, context, example), tokenizer_, nullptr, shelf, &why);
    if (!prompt) return why;
    EXPECT_LE(prompt->tokens.size(), static_cast<size_t>(context));
    return prompt->text + "[" + tokenizer_.Decode(prompt->tokens).substr(0, 3);
  }
  const DataFolder folder_;
  const ByteTokenizer tokenizer_{false};
};

TEST_F(Prompts, ShortTextsAreReplacedByLaterOnes) {
  // Of 40 rows every tenth is long enough, so that reading must go on behind the first few.
  std::string rows;
  for (int i = 0; i < 40; ++i) {
    const std::string text = i % 10 == 9 ? std::string(50, static_cast<char>('c' + i / 10)) : "x";
    rows += "{\"title\": \"row" + std::to_string(i) + "\", \"text\": \"" + text + "\"}\n";
  }
  folder_.Write("rows.jsonl", rows);
  EXPECT_EQ(Find("rows", 30, 0), "row9[ccc");
  EXPECT_EQ(Find("rows", 30, 1), "row19[ddd");
  EXPECT_EQ(Find("rows", 30, 3), "row39[fff");
  EXPECT_THAT(Find("rows", 30, 4), AllOf(HasSubstr("40 texts of rows give 4 prompts of 30 tokens"),
                                         HasSubstr("no example 4")));
}

TEST_F(Prompts, FurtherExamplesAreFurtherStretches) {
  folder_.Write("own/a.txt", "0123456789vwxyz");
  folder_.Write("own/b.txt", "zyxwvutsrqponmlkjihg");
  EXPECT_EQ(Find("own", 5, 1), "b[zyx");
  EXPECT_EQ(Find("own", 5, 2), "a[567");
  EXPECT_EQ(Find("own", 5, 3), "b[uts");
  EXPECT_EQ(Find("own", 5, 6), "b[kji");
  EXPECT_THAT(Find("own", 5, 7), HasSubstr("no example 7"));
}

TEST_F(Prompts, AQuestionLongerThanTheContextIsPassedOver) {
  const auto row = [](const std::string& id, size_t question) {
    return "{\"_id\": \"" + id + "\", \"context\": \"" + std::string(900, 'c') +
           "\", \"question\": \"" + std::string(question, 'q') +
           "\", \"choice_A\": \"a\", \"choice_B\": \"b\", \"choice_C\": \"c\", \"choice_D\": "
           "\"d\", \"answer\": \"A\"}";
  };
  folder_.Write("longbench_v2/data.json", "[" + row("1", 700) + "," + row("2", 10) + "]");
  EXPECT_EQ(Find("longbench_v2", 600, 0), "2[Ple");
  folder_.Write("longbench_v2/data.json", "[" + row("1", 700) + "]");
  EXPECT_THAT(Find("longbench_v2", 600, 0),
              AllOf(HasSubstr("no example 0"), HasSubstr("of the question")));
}

TEST_F(Prompts, NeedlesHaveAnswersAndTasksOfTheirOwn) {
  TextShelf shelf("builtin");
  std::string why;
  std::vector<std::string> tasks;
  for (int example = 0; example < 4; ++example) {
    const auto prompt =
        FindPrompt(CellOf("needles", 3000, example), tokenizer_, nullptr, shelf, &why);
    ASSERT_TRUE(prompt) << why;
    tasks.push_back(prompt->text);
    const std::string text = tokenizer_.Decode(prompt->tokens);
    ASSERT_FALSE(prompt->answers.empty());
    for (const std::string& answer : prompt->answers) EXPECT_THAT(text, HasSubstr(answer));
  }
  EXPECT_THAT(tasks, testing::ElementsAre("single", "keys", "values", "words"));
  EXPECT_THAT(Find("needles", 10'000'000, 0, "builtin"), HasSubstr("10000000 tokens to hide"));
}

TEST(ScoreOutput, CountsAnswersInThePlainText) {
  const ByteTokenizer tokenizer(false);
  const std::vector<std::string> answers = {"12345", "678"};
  const auto encode = [&](const std::string& text) {
    return tokenizer.Encode(text, SpecialTokens::kAsText);
  };
  EXPECT_DOUBLE_EQ(ScoreOutput(encode("they are 12345"), tokenizer, answers), 0.5);
  EXPECT_DOUBLE_EQ(ScoreOutput(encode("678 and 12345"), tokenizer, answers), 1);
}

}  // namespace
}  // namespace quantspec::eval
