// Tolerances have teeth: an element moved by twice the bound is found.
#include "tolerance.h"

#include <gtest/gtest.h>

#include <vector>

namespace quantspec::testing {
namespace {

TEST(Tolerances, EqualVectorsMatch) {
  const std::vector<float> x(100, 1.5f);
  EXPECT_TRUE(Matches(x, x, {0.0, 0.0}));
}

TEST(Tolerances, AMovedElementFails) {
  const std::vector<float> expected(1000, 1.5f);
  for (const Tolerance tolerance :
       {DotTolerance(64, 64.0), CodeDotTolerance(64, 1.0, 127, 0.5), HalfDotTolerance(64, 1.0),
        SoftmaxTolerance(CodeDotTolerance(64, 1.0, 127, 0.5), 100)}) {
    std::vector<float> actual = expected;
    actual[500] += static_cast<float>(2.0 * tolerance.max);
    EXPECT_FALSE(Matches(actual, expected, tolerance));
  }
}

TEST(Tolerances, ManySmallErrorsFail) {
  const std::vector<float> expected(1000, 1.5f);
  const Tolerance tolerance = CodeDotTolerance(64, 1.0, 127, 0.5);
  std::vector<float> actual = expected;
  for (float& x : actual) x += static_cast<float>(1.5 * tolerance.rms);
  EXPECT_FALSE(Matches(actual, expected, tolerance));
}

TEST(Tolerances, WhatIsNotFiniteFails) {
  const std::vector<float> expected(10, 1.5f);
  std::vector<float> actual = expected;
  actual[3] = NAN;
  EXPECT_FALSE(Matches(actual, expected, {1e30, 1e30}));
}

}  // namespace
}  // namespace quantspec::testing
