#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/scores.h"

namespace quantspec::eval {
namespace {

// Written by tests/golden/make_statistics_golden.py.
nlohmann::json Golden() {
  std::ifstream file(QS_GOLDEN_DIR "/statistics.json");
  return nlohmann::json::parse(file);
}

void ExpectInterval(const std::optional<Interval>& found, const nlohmann::json& expected) {
  ASSERT_EQ(found.has_value(), !expected.is_null());
  if (!found) return;
  EXPECT_NEAR(found->low, expected[0].get<double>(), 1e-12);
  EXPECT_NEAR(found->high, expected[1].get<double>(), 1e-12);
}

TEST(Statistics, AveragesAndIntervalsAreThoseOfPython) {
  for (const auto& c : Golden().at("averages")) {
    const auto values = c.at("values").get<std::vector<double>>();
    const auto seed = c.at("seed").get<uint64_t>();
    EXPECT_NEAR(Mean(values), c.at("mean").get<double>(), 1e-12);
    EXPECT_NEAR(Median(values), c.at("median").get<double>(), 1e-12);
    EXPECT_NEAR(GeometricMean(values), c.at("geometric").get<double>(), 1e-12);
    ExpectInterval(BootstrapInterval(values, Average::kMean, seed), c.at("interval_mean"));
    ExpectInterval(BootstrapInterval(values, Average::kGeometric, seed),
                   c.at("interval_geometric"));
  }
}

TEST(Statistics, AnotherSeedGivesAnotherInterval) {
  const std::vector<double> values = {1.0, 1.3, 1.7, 2.6, 0.4, 1.1, 0.9};
  EXPECT_NE(BootstrapInterval(values, Average::kMean, 1)->low,
            BootstrapInterval(values, Average::kMean, 2)->low);
}

TEST(Statistics, AcceptanceByPositionIsThatOfPython) {
  for (const auto& c : Golden().at("rounds")) {
    const auto reached = c.at("reached").get<std::vector<int64_t>>();
    const auto accepted = c.at("accepted").get<std::vector<int64_t>>();
    const std::vector<double> shares = ConditionalAcceptance(reached, accepted);
    const auto expected = c.at("conditional").get<std::vector<double>>();
    ASSERT_EQ(shares.size(), expected.size());
    const auto chances = c.at("chances").get<std::vector<double>>();
    for (size_t i = 0; i < shares.size(); ++i) {
      EXPECT_NEAR(shares[i], expected[i], 1e-12);
      // Without bias: five standard errors of so many draws.
      const double spread =
          std::sqrt(chances[i] * (1 - chances[i]) / static_cast<double>(reached[i]));
      EXPECT_NEAR(shares[i], chances[i], 5 * spread + 1e-12);
    }
    EXPECT_NEAR(TokensPerRound(c.at("generated").get<int64_t>(), c.at("rounds").get<int64_t>()),
                c.at("tau").get<double>(), 1e-12);
  }
}

TEST(Statistics, RepeatedFourGramsAreThoseOfPython) {
  for (const auto& c : Golden().at("rep4")) {
    const auto tokens = c.at("tokens").get<std::vector<Token>>();
    EXPECT_NEAR(RepeatedFourGrams(tokens), c.at("share").get<double>(), 1e-12);
  }
}

TEST(Statistics, NothingGivesZero) {
  EXPECT_EQ(GeometricMean({}), 0);
  EXPECT_EQ(Mean({}), 0);
  EXPECT_EQ(Median({}), 0);
  EXPECT_EQ(TokensPerRound(10, 0), 0);
  EXPECT_TRUE(ConditionalAcceptance({}, {}).empty());
  EXPECT_FALSE(BootstrapInterval({}, Average::kMean, 0).has_value());
  EXPECT_FALSE(BootstrapInterval(std::vector<double>{2.0}, Average::kMean, 0).has_value());
}

TEST(Statistics, SpeedLeavesTheFirstRoundOut) {
  // A slow first round of three tokens, then rounds of three in 0.3 s each.
  const std::vector<double> moments = {0,      5,      5.0001, 5.0002, 5.3,
                                       5.3001, 5.3002, 5.6,    5.6001, 5.6002};
  EXPECT_NEAR(SpeedAfterFirstRound(moments, moments.size()), 6 / 0.6, 0.01);
  // Up to the end of a round, or of the round before.
  for (const size_t limit : {7u, 8u, 9u}) {
    EXPECT_NEAR(SpeedAfterFirstRound(moments, limit), 3 / 0.3, 0.01) << limit;
  }
}

TEST(Statistics, SpeedOfPlainDecodingLeavesOneTokenOut) {
  const std::vector<double> moments = {0, 1, 1.1, 1.2, 1.3};
  EXPECT_NEAR(SpeedAfterFirstRound(moments, 5), 10, 1e-9);
  EXPECT_EQ(SpeedAfterFirstRound(moments, 2), 0);
}

}  // namespace
}  // namespace quantspec::eval
