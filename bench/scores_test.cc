#include "bench/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace quantspec {
namespace {

TEST(Distribution, NormalisesHugeLogits) {
  const std::vector<float> logits = {1000.0f, 1000.0f, -1000.0f};
  const Distribution row(logits);
  EXPECT_NEAR(row.LogProbability(0), std::log(0.5), 1e-12);
  EXPECT_NEAR(row.LogProbability(2), -2000 + std::log(0.5), 1e-9);
}

TEST(ScoreSum, OfEqualRowsShowsNoDifference) {
  const std::vector<float> logits = {0.5f, 2.0f, -1.0f};
  ScoreSum sum;
  sum.AddAgainst(Distribution(logits), Distribution(logits));
  EXPECT_DOUBLE_EQ(sum.kld(), 0);
  EXPECT_DOUBLE_EQ(sum.top1(), 1);
  EXPECT_NEAR(sum.overlap(), 1, 1e-12);
}

TEST(ScoreSum, MatchesAHandComputedPair) {
  const std::vector<float> base = {std::log(0.75f), std::log(0.25f)};
  const std::vector<float> other = {std::log(0.25f), std::log(0.75f)};
  ScoreSum sum;
  sum.AddAgainst(Distribution(base), Distribution(other));
  EXPECT_NEAR(sum.kld(), 0.75 * std::log(3.0) - 0.25 * std::log(3.0), 1e-6);
  EXPECT_DOUBLE_EQ(sum.top1(), 0);
  EXPECT_NEAR(sum.overlap(), 0.5, 1e-6);
}

TEST(ScoreSum, PerplexityIsTheInverseGeometricMean) {
  const std::vector<float> logits = {std::log(0.75f), std::log(0.25f)};
  ScoreSum sum;
  sum.AddText(Distribution(logits), 0);
  sum.AddText(Distribution(logits), 1);
  EXPECT_NEAR(sum.perplexity(), 1 / std::sqrt(0.75 * 0.25), 1e-6);
}

TEST(MeanSum, GivesMeanAndStandardError) {
  MeanSum sum;
  for (const double value : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) sum.Add(value);
  EXPECT_DOUBLE_EQ(sum.mean_error().mean, 5);
  EXPECT_NEAR(sum.mean_error().error, std::sqrt(4.0 / 7), 1e-12);  // population variance 4
}

TEST(Quantile, InterpolatesBetweenNeighbours) {
  const std::vector<double> values = {1, 2, 4, 8, 16};
  EXPECT_DOUBLE_EQ(Quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.5), 4);
  EXPECT_DOUBLE_EQ(Quantile(values, 0.875), 12);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 16);
  EXPECT_DOUBLE_EQ(Quantile({}, 0.5), 0);
}

TEST(Quantile, OfHalfIsTheMedianOfAnyOrder) {
  EXPECT_DOUBLE_EQ(Median({8, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(Median({8, 1, 4, 2}), 3);
  EXPECT_DOUBLE_EQ(Median({}), 0);
}

TEST(MeanSum, OfOneValueHasNoError) {
  MeanSum sum;
  sum.Add(3);
  EXPECT_DOUBLE_EQ(sum.mean_error().mean, 3);
  EXPECT_DOUBLE_EQ(sum.mean_error().error, 0);
}

}  // namespace
}  // namespace quantspec
