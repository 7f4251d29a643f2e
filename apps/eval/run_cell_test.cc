// Cells of a tiny model, computed whole.
#include "eval/run_cell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "cli/common.h"
#include "eval/data_folder.h"
#include "eval/method.h"

namespace quantspec::eval {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

const char* const kModel = QS_GOLDEN_DIR "/models/llama-long.gguf";  // a token a byte

Cell MakeCell(const std::string& experiment) {
  Cell cell;
  cell.experiment = experiment;
  cell.model = IdentifyModel(kModel);
  cell.weights = "bf16";
  cell.data = "builtin";
  cell.dataset = "novel";
  cell.protocol = "authors";
  cell.context = 300;
  cell.tokens = 24;
  cell.turns = 1;
  cell.texts = 1;
  return cell;
}

class Cells : public testing::Test {
 protected:
  Json Run(const Cell& cell) {
    return RunCell(cell, engines_, texts_, [&](double share) {
      EXPECT_GE(share, share_ - 1e-9);
      share_ = share;
      return true;
    });
  }
  static const Json& RunOf(const Json& result, const std::string& method) {
    for (const Json& run : result.at("runs")) {
      if (run.at("method") == method) return run;
    }
    throw std::runtime_error("no run of " + method);
  }
  Engines engines_{{2, 0, true}, 400};
  TextShelf texts_{"builtin"};
  double share_ = 0;
};

TEST_F(Cells, EveryMethodIsPlainDecodingInAnyOrder) {
  Cell cell = MakeCell("table4");
  cell.turns = 2;
  for (const Method& method : Methods()) {
    cell.runs.push_back({method.name, method.kind == MethodKind::kSpeculative ? 3 : 0});
  }
  for (int example = 0; example < 3; ++example) {
    cell.example = example;
    share_ = 0;
    const Json result = Run(cell);
    EXPECT_NEAR(share_, 1, 1e-9);
    EXPECT_EQ(result.at("prompt_tokens"), 300);
    EXPECT_THAT(result.at("runs"), SizeIs(cell.runs.size()));
    const std::string paper = RunOf(result, kPlainPaper).at("digest");
    const std::string own = RunOf(result, kPlainOwn).at("digest");
    for (const Json& run : result.at("runs")) {
      const Method& method = FindMethod(run.at("method"));
      EXPECT_EQ(run.at("generated"), 24) << method.name;
      EXPECT_THAT(run.at("tokens_per_s"), SizeIs(2));
      if (method.kind == MethodKind::kDraftAlone) {
        EXPECT_TRUE(run.at("identical").is_null());
        continue;
      }
      EXPECT_EQ(run.at("digest"), method.target == Target::kPaper ? paper : own) << method.name;
      if (method.kind == MethodKind::kPlain) continue;
      const auto reached = run.at("reached_by_position").get<std::vector<int64_t>>();
      const auto accepted = run.at("accepted_by_position").get<std::vector<int64_t>>();
      EXPECT_EQ(reached.size(), 3u);
      for (size_t i = 0; i < reached.size(); ++i) EXPECT_LE(accepted[i], reached[i]);
    }
  }
}

TEST_F(Cells, OfFloatWeightsHaveOnlyDraftsThatReadThem) {
  Cell cell = MakeCell("table4");
  cell.weights = "float";
  cell.runs = {{"plain-bf16", 0}, {"plain", 0}, {"snapkv", 2}, {"ngram", 2}, {"kv-only", 2}};
  EXPECT_THAT(Run(cell).at("runs"), SizeIs(5));
}

TEST_F(Cells, AnswersOfNeedlesAreScored) {
  Cell cell = MakeCell("table4");
  cell.dataset = "needles";
  cell.context = 1500;
  cell.runs = {{"plain-bf16", 0}, {"plain", 0}};
  Engines engines({2, 0, true}, 1600);
  const Json result = RunCell(cell, engines, texts_, [](double) { return true; });
  EXPECT_EQ(result.at("text"), "single");
  EXPECT_THAT(result.at("answers"), SizeIs(1));
  EXPECT_EQ(result.at("score"), 0);  // of a model with random weights
}

TEST_F(Cells, WithoutATextThatIsLongEnoughAreSkipped) {
  const DataFolder folder;
  folder.Write("own.txt", "short");
  TextShelf texts(folder.path());
  Cell cell = MakeCell("table4");
  cell.dataset = "own";
  cell.runs = {{"plain-bf16", 0}, {"plain", 0}};
  const auto on_share = [](double) { return true; };
  const Json result = RunCell(cell, engines_, texts, on_share);
  EXPECT_THAT(result.at("skipped").get<std::string>(), HasSubstr("1 texts of own give 0 prompts"));
  cell.experiment = "table2";
  cell.protocol = "gptq";
  cell.tokens = 1;
  EXPECT_THAT(RunCell(cell, engines_, texts, on_share).at("skipped").get<std::string>(),
              HasSubstr("shorter than a window of 300"));
}

TEST_F(Cells, OfPerplexityScoreAsManyWindowsAsAskedFor) {
  Cell cell = MakeCell("table2");
  cell.protocol = "gptq";
  cell.context = 512;
  cell.tokens = 2;
  cell.runs = {{kPlainPaper, 0}, {kPlainOwn, 0}, {kDraftOfPaper, 0}};
  const Json result = Run(cell);
  EXPECT_NEAR(share_, 1, 1e-9);
  EXPECT_EQ(result.at("windows"), 2);
  EXPECT_EQ(result.at("targets"), 2 * 511);
  EXPECT_GT(result.at("sealed_targets"), 200);
  const Json& rows = result.at("rows");
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].at("difference"), 0.0);
  const double floats = rows[0].at("perplexity");
  const double ours = rows[1].at("perplexity");
  const double draft = rows[2].at("perplexity");
  EXPECT_NEAR(ours / floats, 1, 0.02);
  EXPECT_NE(ours, floats);
  EXPECT_GT(std::abs(draft - floats), std::abs(ours - floats));
}

TEST_F(Cells, OfPerplexityJoinAsManyTextsAsTheCellSays) {
  const DataFolder folder;
  folder.Write("own/a.txt", std::string(200, 'a'));
  folder.Write("own/b.txt", std::string(200, 'b'));
  TextShelf texts(folder.path());
  texts.Get("own", 50);  // what other cells asked for does not matter
  Cell cell = MakeCell("table2");
  cell.dataset = "own";
  cell.protocol = "gptq";
  cell.context = 50;
  cell.tokens = 0;
  cell.runs = {{kPlainPaper, 0}, {kPlainOwn, 0}};
  const auto on_share = [](double) { return true; };
  EXPECT_EQ(RunCell(cell, engines_, texts, on_share).at("windows"), 4);
  cell.texts = 2;
  EXPECT_EQ(RunCell(cell, engines_, texts, on_share).at("windows"), 8);
}

TEST_F(Cells, OfTheAxesRoundEveryWay) {
  Cell cell = MakeCell("table3");
  cell.protocol = "gptq";
  cell.context = 300;
  cell.tokens = 1;
  const Json result = Run(cell);
  ASSERT_THAT(result.at("rows"), SizeIs(5));
  const double floats = result.at("rows")[0].at("keys by token");
  const auto error = [&](size_t row, const char* keys) {
    return std::abs(result.at("rows")[row].at(keys).get<double>() - floats);
  };
  // 8 bits are nearer to floats than 4, by token and by channel.
  EXPECT_LT(error(3, "keys by token"), error(1, "keys by token"));
  EXPECT_LT(error(4, "keys by channel"), error(2, "keys by channel"));
}

TEST_F(Cells, StopWhereTheCallerSays) {
  Cell cell = MakeCell("table4");
  cell.runs = {{"plain-bf16", 0}, {"plain", 0}, {"quantspec", 2}};
  for (const double most : {0.1, 0.5, 0.9}) {
    EXPECT_THROW(RunCell(cell, engines_, texts_, [&](double share) { return share < most; }),
                 cli::Cancelled);
  }
}

TEST(Engines, AreKeptWhileTheyHaveRoom) {
  Engines engines({1, 0, true}, 400);
  Cell cell = MakeCell("table4");
  const Engine* first = &engines.Of(cell, Target::kOwn);
  EXPECT_EQ(&engines.Of(cell, Target::kPaper), first);  // bf16 both
  cell.context = 100;
  EXPECT_EQ(&engines.Of(cell, Target::kOwn), first);
  EXPECT_TRUE(engines.ShrinkTo(NeededRoom(cell)));
  engines.Of(cell, Target::kOwn);
  EXPECT_FALSE(engines.ShrinkTo(NeededRoom(cell)));
  // A longer cell gets an engine that has room for it.
  cell.context = 1000;
  SessionOptions session =
      SessionOf(cell, engines.Of(cell, Target::kOwn).file().info(), FindMethod(kPlainOwn));
  EXPECT_EQ(session.context, 1000 + 24 + kMaxGamma + 1);
  EXPECT_NE(engines.Of(cell, Target::kOwn).Open(session), nullptr);
}

TEST(MemoryOf, LeavesOutACopyThatAMethodNeverReads) {
  Engines engines({1, 0, true}, 400);
  const Cell cell = MakeCell("table4");
  const ModelFile& file = engines.Of(cell, Target::kOwn).file();
  const auto weights = [&](const char* method) {
    return MemoryOf(cell, file, FindMethod(method)).weights;
  };
  EXPECT_EQ(weights("plain"), weights("snapkv"));
  EXPECT_LT(weights("plain"), weights("quantspec"));
}

}  // namespace
}  // namespace quantspec::eval
