#include "bench/plain_read.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace quantspec {
namespace {

constexpr size_t kLine = 8;            // words
constexpr size_t kAhead = 48 * kLine;  // prefetched: up to a half faster than without

// As many sums as a line has words, so that additions never wait for each other.
uint64_t Sum(std::span<const uint64_t> words) {
  uint64_t sums[kLine] = {};
  for (size_t at = 0; at + kLine <= words.size(); at += kLine) {
    __builtin_prefetch(words.data() + at + kAhead);
    for (size_t lane = 0; lane < kLine; ++lane) sums[lane] += words[at + lane];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

PlainRead::PlainRead(ThreadPool& pool, size_t bytes) : pool_(pool), memory_(bytes) {
  // Every thread writes the part that it will read: pages that nobody has written are all one page
  // of zeros, which stays in a cache.
  pool_.Run([&](int thread) {
    const std::span<uint64_t> part = PartOfThread(thread);
    std::fill(part.begin(), part.end(), 1);
  });
}

std::span<uint64_t> PlainRead::PartOfThread(int thread) const {
  const size_t words = memory_.bytes() / 8;
  const Range part = PartOf(static_cast<int64_t>(words), thread, pool_.threads(), int64_t{kLine});
  return {memory_.As<uint64_t>() + part.begin, static_cast<size_t>(part.end - part.begin)};
}

double PlainRead::Seconds() {
  using Clock = std::chrono::steady_clock;
  std::atomic<uint64_t> total = 0;  // read by nobody, so that the sums are not optimised away
  const Clock::time_point begin = Clock::now();
  pool_.Run([&](int thread) { total += Sum(PartOfThread(thread)); });
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace quantspec
