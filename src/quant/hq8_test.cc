#include "quant/hq8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace quantspec {
namespace {

struct Encoded {
  GroupScale group;
  std::vector<uint8_t> upper, lower;
};

Encoded Encode(const std::vector<float>& x) {
  Encoded e{{}, std::vector<uint8_t>(x.size()), std::vector<uint8_t>(x.size())};
  e.group =
      EncodeGroup(x.data(), static_cast<int64_t>(x.size()), 1, e.upper.data(), e.lower.data());
  return e;
}

// The worked example of docs/formats/hq8.md: golden codes, scale and zero.
TEST(Hq8, GoldenBytesOfTheFormatPage) {
  const Encoded e = Encode({-1.0f, -0.5f, 0.0f, 0.25f, 0.3f, 0.875f, 1.0f, 2.0f});
  EXPECT_EQ(e.group.scale, 0x3266);  // 0.19995 = 3/15 in f16
  EXPECT_EQ(e.group.zero, 0xBC00);   // -1
  EXPECT_EQ(e.upper, (std::vector<uint8_t>{0, 3, 5, 6, 7, 9, 10, 15}));
  EXPECT_EQ(e.lower, (std::vector<uint8_t>{8, 0, 8, 12, 0, 14, 8, 8}));
  const float drafts[] = {-1, -0.4f, 0, 0.2f, 0.4f, 0.8f, 1, 1.999f};
  const float targets[] = {-1, -0.5f, 0, 0.25f, 0.3f, 0.875f, 1, 1.999f};
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(DecodeValue(e.group, e.upper[i], e.lower[i], Planes::kUpper), drafts[i], 1e-3f);
    EXPECT_NEAR(DecodeValue(e.group, e.upper[i], e.lower[i], Planes::kBoth), targets[i], 1e-3f);
  }
}

// Checks both readers of `x` against the bounds of docs/formats/hq8.md: half a coarse step, half a
// fine step, one fine step where the lower code is clamped; beyond that only what the rounding of
// zero and scale to f16 cuts off at both ends.
void CheckBounds(const std::vector<float>& x) {
  const Encoded e = Encode(x);
  const float zero = FloatFromF16(e.group.zero), step = FloatFromF16(e.group.scale);
  const float last = zero + 15 * step;
  for (size_t i = 0; i < x.size(); ++i) {
    const float target = DecodeValue(e.group, e.upper[i], e.lower[i], Planes::kBoth);
    const float draft = DecodeValue(e.group, e.upper[i], e.lower[i], Planes::kUpper);
    const float cut = std::max({0.0f, zero - x[i], x[i] - last});
    const float rounding = 0x1p-21f * (std::abs(zero) + 16 * step);
    ASSERT_LE(std::abs(draft - x[i]), step / 2 + cut + rounding) << x[i];
    const bool is_clamped = e.lower[i] == 15 || e.lower[i] == 0;
    ASSERT_LE(std::abs(target - x[i]), (is_clamped ? step / 16 : step / 32) + cut + rounding)
        << x[i];
    ASSERT_LE(cut, std::abs(x[i]) * 0x1p-10f + 0x1p-24f + 15 * step * 0x1p-10f);
  }
}

TEST(Hq8, ErrorsStayWithinHalfACoarseAndHalfAFineStep) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<float> x(size_t{32} << trial % 3);
    const float size = std::exp(normal(random) * 2), mean = normal(random) * size * 3;
    for (float& value : x) value = mean + size * normal(random);
    ASSERT_NO_FATAL_FAILURE(CheckBounds(x)) << "trial " << trial;
  }
}

TEST(Hq8, HalfwayErrorsAreClampedToWithinAFineStep) {
  // S = 1, Z = 0: x = U + 1/2 - e rounds down to U, and its error of 8 fine steps is clamped to 7.
  const Encoded e = Encode({0.0f, 15.0f, 2.5f, 3.5f, 6.48f, 6.52f});
  EXPECT_EQ(FloatFromF16(e.group.scale), 1.0f);
  EXPECT_EQ(e.upper, (std::vector<uint8_t>{0, 15, 2, 4, 6, 7}));   // ties to even
  EXPECT_EQ(e.lower, (std::vector<uint8_t>{8, 8, 15, 0, 15, 0}));  // +8 is clamped, -8 is not
}

TEST(Hq8, TinyRangesHaveSubnormalScalesOrNone) {
  // 2^-24 is the least subnormal f16: a range of 15 of them is held, one of 7 vanishes.
  const Encoded least = Encode({0.0f, 15 * 0x1p-24f, 0x1p-24f, 7 * 0x1p-24f});
  EXPECT_EQ(least.group.scale, 1);
  EXPECT_EQ(least.upper, (std::vector<uint8_t>{0, 15, 1, 7}));
  const Encoded none = Encode({0.0f, 7 * 0x1p-24f});
  EXPECT_EQ(none.group.scale, 0);
  EXPECT_EQ(none.upper, (std::vector<uint8_t>{0, 0}));
  std::mt19937 random(4);
  for (int exponent = -60; exponent < -10; ++exponent) {
    std::vector<float> x(64);
    for (float& value : x) value = std::ldexp(static_cast<float>(random() % 1000), exponent - 10);
    const Encoded e = Encode(x);
    if (e.group.scale > 1023) {
      ASSERT_NO_FATAL_FAILURE(CheckBounds(x)) << exponent;
    }
    for (size_t i = 0; i < x.size(); ++i) {
      const float target = DecodeValue(e.group, e.upper[i], e.lower[i], Planes::kBoth);
      // A subnormal scale is off by up to half of 2^-24, fifteen times.
      ASSERT_LE(std::abs(target - x[i]), FloatFromF16(e.group.scale) / 16 + 8 * 0x1p-24f);
    }
  }
}

TEST(Hq8, ConstantGroupsDecodeToTheirZero) {
  for (const float value : {0.0f, -0.0f, 1.5f, -3.0f, 0.1f, 1e-7f, 1e-30f, 60000.0f, 1e9f}) {
    const Encoded e = Encode(std::vector<float>(32, value));
    EXPECT_EQ(e.group.scale, 0);
    EXPECT_EQ(e.group.zero, F16FromFloatSaturated(value) & (value == 0 ? 0 : 0xFFFF));
    for (size_t i = 0; i < 32; ++i) {
      for (const Planes planes : {Planes::kUpper, Planes::kBoth}) {
        EXPECT_EQ(DecodeValue(e.group, e.upper[i], e.lower[i], planes), FloatFromF16(e.group.zero));
      }
    }
  }
}

TEST(Hq8, ValuesBeyondF16Saturate) {
  const Encoded e = Encode({-1e30f, 1e30f, 0.0f, 3e38f, -3e38f});
  EXPECT_EQ(FloatFromF16(e.group.zero), -65504.0f);
  EXPECT_EQ(FloatFromF16(e.group.scale), 65504.0f);
  EXPECT_EQ(e.upper, (std::vector<uint8_t>{0, 15, 1, 15, 0}));
}

TEST(Hq8, NoInputGivesANaNOrALargeCode) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<float> x(64);
    for (float& value : x) {
      const auto exponent = static_cast<int>(random() % 160) - 80;
      value = std::ldexp(static_cast<float>(static_cast<int>(random() % 2001) - 1000), exponent);
    }
    // Callers promise finite values; others must not spread all the same.
    if (trial % 4 == 1) x[random() % 8] = NAN;
    if (trial % 4 == 2) x[random() % 64] = INFINITY;
    if (trial % 4 == 3) std::fill(x.begin(), x.end(), trial % 8 == 3 ? -INFINITY : NAN);
    const Encoded e = Encode(x);
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_LE(e.upper[i], 15);
      ASSERT_LE(e.lower[i], 15);
      ASSERT_TRUE(std::isfinite(DecodeValue(e.group, e.upper[i], e.lower[i], Planes::kBoth)));
    }
  }
}

TEST(Hq8, StridedGroupsEqualContiguousOnes) {
  std::vector<float> x(128 * 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  for (int64_t channel = 0; channel < 3; ++channel) {
    std::vector<float> column;
    for (int64_t i = 0; i < 128; ++i) column.push_back(x[static_cast<size_t>(i * 3 + channel)]);
    const Encoded expected = Encode(column);
    std::vector<uint8_t> upper(128), lower(128);
    const GroupScale group = EncodeGroup(x.data() + channel, 128, 3, upper.data(), lower.data());
    EXPECT_EQ(group.scale, expected.group.scale);
    EXPECT_EQ(upper, expected.upper);
    EXPECT_EQ(lower, expected.lower);
  }
}

TEST(Hq8, RowsAreGroupsSideBySide) {
  std::vector<float> x(2 * 96);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::cos(static_cast<float>(i * i));
  std::vector<uint8_t> upper(x.size()), lower(x.size());
  std::vector<GroupScale> scales(x.size() / 32);
  EncodeRows({x.data(), 2, 96}, 32, upper.data(), lower.data(), scales.data());
  for (size_t g = 0; g < scales.size(); ++g) {
    const auto begin = static_cast<std::ptrdiff_t>(32 * g);
    const Encoded e = Encode({x.begin() + begin, x.begin() + begin + 32});
    EXPECT_EQ(scales[g].zero, e.group.zero);
    EXPECT_EQ(scales[g].scale, e.group.scale);
    EXPECT_TRUE(std::equal(e.upper.begin(), e.upper.end(), upper.begin() + begin));
    EXPECT_TRUE(std::equal(e.lower.begin(), e.lower.end(), lower.begin() + begin));
  }
}

TEST(Hq8, WeightGroupsAreTheLargestThatDivide) {
  EXPECT_EQ(WeightGroup(576, 128), 64);
  EXPECT_EQ(WeightGroup(4096, 128), 128);
  EXPECT_EQ(WeightGroup(4096, 32), 32);
  EXPECT_EQ(WeightGroup(96, 64), 32);
  EXPECT_EQ(WeightGroup(100, 128), 0);
}

}  // namespace
}  // namespace quantspec
