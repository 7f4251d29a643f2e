#include "bench/peak.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "kernels/backend.h"
#include "kernels/cpu/isa.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

class Peak : public testing::TestWithParam<std::string_view> {};

void ExpectRate(const PeakRate& rate) {
  EXPECT_GT(rate.operations, 0);
  EXPECT_GT(rate.us, 0);
  EXPECT_TRUE(std::isfinite(rate.operations / rate.us));
}

TEST_P(Peak, IsPositiveAndFinite) {
  ThreadPool pool(2);
  const Peaks peaks = MeasurePeaks(pool, GetParam());
  ExpectRate(peaks.int4);
  ExpectRate(peaks.int8);
  ExpectRate(peaks.f32);
  if (cpu::FindTable(GetParam()).peak.bf16 != nullptr) {
    ExpectRate(peaks.bf16);
  } else {
    EXPECT_EQ(peaks.bf16.operations, 0);
  }
}

TEST_P(Peak, CountsEveryStepAlike) {
  const cpu::PeakKernels& kernels = cpu::FindTable(GetParam()).peak;
  for (const auto kernel : {kernels.int4, kernels.int8, kernels.f32}) {
    EXPECT_EQ(kernel(0), 0);
    EXPECT_GT(kernel(1), 0);
    EXPECT_EQ(kernel(3), 3 * kernel(1));
  }
}

// A loop that the compiler saw through would take no time at all.
TEST_P(Peak, IsWithinWhatACoreCanDo) {
  ThreadPool pool(1);
  const Peaks peaks = MeasurePeaks(pool, GetParam());
  for (const PeakRate& rate : {peaks.int4, peaks.int8, peaks.f32, peaks.bf16}) {
    if (rate.us == 0) continue;
    EXPECT_LT(rate.operations / rate.us, 4e6);  // 4 Top/s
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Peak, testing::ValuesIn(AvailableIsas()),
                         [](const auto& isa) { return std::string(isa.param); });

TEST(PeakError, UnknownInstructionSetIsAUsageError) {
  ThreadPool pool(1);
  EXPECT_THROW(MeasurePeaks(pool, "sse9"), Error);
}

}  // namespace
}  // namespace quantspec
