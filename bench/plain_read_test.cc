#include "bench/plain_read.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "bench/read_bandwidth.h"

namespace quantspec {
namespace {

int64_t PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// Memory that nobody wrote is one page of zeros: reading it says nothing about memory.
TEST(PlainRead, ReadsMemoryThatIsThere) {
  ThreadPool pool(2);
  constexpr size_t kBytes = size_t{3} << 20;  // of small pages
  PlainRead read(pool, kBytes);
  const int64_t before = PageFaults();
  EXPECT_GT(read.Seconds(), 0);
  EXPECT_LT(PageFaults() - before, static_cast<int64_t>(kBytes / 4096 / 4));
}

TEST(ReadBandwidth, IsThatOfAMachine) {
  const double gb_per_s = MeasureReadBandwidth(1);
  EXPECT_GT(gb_per_s, 0.01);
  EXPECT_LT(gb_per_s, 10000);
}

}  // namespace
}  // namespace quantspec
