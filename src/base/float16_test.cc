#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace quantspec {
namespace {

TEST(Float16, EveryHalfSurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const F16 half = static_cast<F16>(bits);
    const float value = FloatFromF16(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(FloatFromF16(F16FromFloat(value))));
    } else {
      EXPECT_EQ(F16FromFloat(value), half) << bits;
    }
  }
}

TEST(Float16, RoundsToTheNearestHalfAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const float low = FloatFromF16(static_cast<F16>(bits));
    const float high = FloatFromF16(static_cast<F16>(bits + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(F16FromFloat(middle), bits + (bits & 1));
    EXPECT_EQ(F16FromFloat(std::nextafter(middle, low)), bits);
    EXPECT_EQ(F16FromFloat(std::nextafter(middle, high)), bits + 1);
  }
}

TEST(Float16, SaturatesOnlyWhereAskedTo) {
  EXPECT_TRUE(std::isinf(FloatFromF16(F16FromFloat(70000.0f))));
  EXPECT_EQ(FloatFromF16(F16FromFloatSaturated(70000.0f)), 65504.0f);
  EXPECT_EQ(FloatFromF16(F16FromFloatSaturated(-1e30f)), -65504.0f);
  EXPECT_EQ(FloatFromF16(F16FromFloatSaturated(NAN)), 65504.0f);
}

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(FloatFromBf16(Bf16FromFloat(1.0f)), 1.0f);
  EXPECT_EQ(Bf16FromFloat(std::bit_cast<float>(0x3F808000u)), 0x3F80);
  EXPECT_EQ(Bf16FromFloat(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  EXPECT_EQ(Bf16FromFloat(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_TRUE(std::isnan(FloatFromBf16(Bf16FromFloat(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace quantspec
