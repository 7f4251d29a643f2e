#include "eval/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "eval/data_folder.h"
#include "eval/outcome.h"

namespace quantspec::eval {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Cell CellAt(int example) {
  Cell cell;
  cell.experiment = "table4";
  cell.model.name = "m.gguf";
  cell.dataset = "novel";
  cell.context = 4000;
  cell.example = example;
  cell.turns = 1;
  cell.runs = {{"plain-bf16", 0}, {"plain", 0}, {"quantspec", 4}};
  return cell;
}

TEST(CheckIdentical, NamesCellAndRunOfEveryDifference) {
  const Cell cell = CellAt(3);
  Outcome plain;
  plain.tokens = {1, 2, 3, 4};
  plain.digest = "aa";
  const auto message = [&](auto change) {
    Outcome other = plain;
    change(other);
    return MessageOf([&] { CheckIdentical(cell, cell.runs[2], other, plain); });
  };
  EXPECT_EQ(message([](Outcome&) {}), "");
  EXPECT_THAT(message([](Outcome& o) { o.tokens[2] = 9; }),
              AllOf(HasSubstr("cell " + CellId(cell)), HasSubstr("table4 novel 4000 example 3"),
                    HasSubstr("quantspec with gamma 4"), HasSubstr("at token 2")));
  EXPECT_THAT(message([](Outcome& o) { o.tokens.pop_back(); }), HasSubstr("at token 3"));
  EXPECT_THAT(message([](Outcome& o) { o.tokens.push_back(5); }), HasSubstr("at token 4"));
  EXPECT_THAT(message([](Outcome& o) { o.digest = "bb"; }), HasSubstr("its cache is bb"));
  EXPECT_EQ(message([](Outcome& o) { o.digest = ""; }), "");
}

class Runs : public testing::Test {
 protected:
  Runs() { options_.quiet = true; }
  bool Run(const std::vector<Cell>& cells, const ComputeCell& compute) {
    return RunCells(cells, store_, options_, compute);
  }
  const DataFolder folder_;
  const CellStore store_{folder_.path()};
  RunnerOptions options_;
  std::vector<Cell> cells_ = {CellAt(0), CellAt(1), CellAt(2)};
};

TEST_F(Runs, ADifferenceEndsTheRunAndTheOtherCellsStay) {
  Outcome plain;
  plain.tokens = {1, 2};
  const auto compute = [&](const Cell& cell, const OnShare&) {
    return OrSkipped(
        [&]() -> Json {
          Outcome other = plain;
          if (cell.example == 1) other.tokens[1] = 7;
          CheckIdentical(cell, cell.runs[2], other, plain);
          return {{"runs", Json::array()}};
        },
        [] { return true; });
  };
  EXPECT_THAT(MessageOf([&] { Run(cells_, compute); }), HasSubstr("cell " + CellId(cells_[1])));
  EXPECT_TRUE(store_.Read(cells_[0], nullptr));
  EXPECT_FALSE(store_.Read(cells_[1], nullptr));
}

TEST_F(Runs, ACellThatCannotRunIsSkippedOnceAndForAll) {
  int calls = 0;
  const auto compute = [&](const Cell& cell, const OnShare&) {
    ++calls;
    return OrSkipped(
        [&]() -> Json {
          if (cell.example == 0) throw Error(ErrorKind::kMemory, "needs 9 bytes");
          if (cell.example == 1) throw Error(ErrorKind::kUsage, "too long");
          return {{"runs", Json::array()}};
        },
        [] { return false; });
  };
  EXPECT_TRUE(Run(cells_, compute));
  EXPECT_TRUE(Run(cells_, compute));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(store_.Read(cells_[0], nullptr)->at("skipped"), "out of memory: needs 9 bytes");
  EXPECT_EQ(store_.Read(cells_[0], nullptr)->at("kind"), "memory");
  EXPECT_EQ(store_.Read(cells_[1], nullptr)->at("skipped"), "too long");
}

TEST_F(Runs, ACellThatRunsOutOfMemoryIsTriedAgainWithLess) {
  int calls = 0, shrunk = 0;
  const Json result = OrSkipped(
      [&]() -> Json {
        if (++calls == 1) throw Error(ErrorKind::kMemory, "the pool is too large");
        return {{"runs", 1}};
      },
      [&] { return ++shrunk == 1; });
  EXPECT_EQ(result, Json({{"runs", 1}}));
  EXPECT_EQ(shrunk, 1);
}

TEST_F(Runs, TheBudgetEndsItBetweenCells) {
  options_.budget_s = 1e-9;
  EXPECT_FALSE(Run(cells_, [](const Cell&, const OnShare&) -> Json { return {}; }));
  EXPECT_FALSE(store_.Read(cells_[0], nullptr));
}

}  // namespace
}  // namespace quantspec::eval
