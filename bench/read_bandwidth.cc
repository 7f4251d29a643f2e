#include "bench/read_bandwidth.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "bench/plain_read.h"

namespace quantspec {
namespace {

constexpr int kPasses = 8;
constexpr size_t kLeastBytes = size_t{256} << 20;
constexpr size_t kMostBytes = size_t{1} << 30;

size_t BufferBytes() {
  const int64_t last_level = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const size_t wanted = 4 * static_cast<size_t>(std::max<int64_t>(last_level, 0));
  return std::clamp(wanted, kLeastBytes, kMostBytes);
}

}  // namespace

double MeasureReadBandwidth(int threads) {
  ThreadPool pool(std::max(threads, 1));
  const size_t bytes = BufferBytes();
  PlainRead read(pool, bytes);
  double best = read.Seconds();
  for (int pass = 1; pass < kPasses; ++pass) best = std::min(best, read.Seconds());
  return static_cast<double>(bytes) / best / 1e9;
}

}  // namespace quantspec
