#include "cli/output.h"

#include <gtest/gtest.h>

#include "cli/bench_round.h"
#include "cli/json.h"
#include "cli/progress.h"

namespace quantspec::cli {
namespace {

TEST(Output, ShowsSizesAndCountsShortly) {
  EXPECT_EQ(ShowBytes(999), "999 B");
  EXPECT_EQ(ShowBytes(98362432), "98.4 MB");
  EXPECT_EQ(ShowBytes(1.5e9), "1.50 GB");
  EXPECT_EQ(ShowCount(1234567), "1,234,567");
  EXPECT_EQ(ShowCount(999), "999");
  EXPECT_EQ(ShowNumber(0.1234), "0.123");
}

TEST(ProgressText, NamesShareSpeedAndTimeLeft) {
  EXPECT_EQ(ProgressText("reading", 0.5, 2000, 2.0), "reading 50 %, 500 tokens/s, 2 s left");
  EXPECT_EQ(ProgressText("loading", 0.25, 0, 1.0), "loading 25 %, 3 s left");
  EXPECT_EQ(ProgressText("loading", 0, 0, 0), "loading 0 %");
}

TEST(Json, AcceptanceOfNothingIsNull) {
  EXPECT_TRUE(AcceptanceJson(0, 0).is_null());
  EXPECT_DOUBLE_EQ(AcceptanceJson(3, 4).get<double>(), 0.75);
}

TEST(Json, PositionsEndAtTheLargestDraftedOne) {
  GenerateStats stats;
  stats.drafted_by_position = {5, 5, 2};
  stats.accepted_by_position = {4, 1, 0};
  EXPECT_EQ(StatsJson(stats)["accepted_by_position"].dump(), "[4,1,0]");
  EXPECT_EQ(StatsJson(GenerateStats())["accepted_by_position"].dump(), "[]");
}

TEST(TokensPerRound, IsAGeometricSum) {
  EXPECT_DOUBLE_EQ(TokensPerRound(0.5, 0), 1);
  EXPECT_DOUBLE_EQ(TokensPerRound(0.5, 2), 1.75);
  EXPECT_DOUBLE_EQ(TokensPerRound(1, 4), 5);
}

}  // namespace
}  // namespace quantspec::cli
