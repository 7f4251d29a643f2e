#include "cli/bandwidth.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

namespace quantspec::cli {
namespace {

constexpr int kPasses = 8;
constexpr size_t kLeastBytes = size_t{256} << 20;
constexpr size_t kMostBytes = size_t{1} << 30;

size_t BufferBytes() {
  const int64_t last_level = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const size_t wanted = 4 * static_cast<size_t>(std::max<int64_t>(last_level, 0));
  return std::clamp(wanted, kLeastBytes, kMostBytes);
}

// Sixteen sums, so that additions never wait for each other: bound by reading.
uint64_t Sum(std::span<const uint64_t> words) {
  uint64_t sums[16] = {};
  for (size_t at = 0; at + 16 <= words.size(); at += 16) {
    for (size_t lane = 0; lane < 16; ++lane) sums[lane] += words[at + lane];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

double MeasureReadBandwidth(int threads) {
  using Clock = std::chrono::steady_clock;
  const auto count = static_cast<size_t>(std::max(threads, 1));
  const size_t words_each = BufferBytes() / sizeof(uint64_t) / count;
  std::vector<double> seconds;  // of each pass
  Clock::time_point last = Clock::now();
  std::barrier pass(static_cast<std::ptrdiff_t>(count), [&]() noexcept {
    const Clock::time_point now = Clock::now();
    seconds.push_back(std::chrono::duration<double>(now - last).count());
    last = now;
  });
  seconds.reserve(kPasses + 1);
  std::atomic<uint64_t> total = 0;  // read by nobody, so that the sums are not optimised away
  const auto work = [&] {
    // Each thread writes its part first, so that pages lie near it.
    std::vector<uint64_t> part(words_each, 1);
    pass.arrive_and_wait();
    for (int i = 0; i < kPasses; ++i) {
      total += Sum(part);
      pass.arrive_and_wait();
    }
  };
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < count; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  const double best = *std::min_element(seconds.begin() + 1, seconds.end());
  return static_cast<double>(words_each * count * sizeof(uint64_t)) / best / 1e9;
}

}  // namespace quantspec::cli
