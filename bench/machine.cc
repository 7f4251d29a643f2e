#include "machine.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>

#include "base/buffer.h"

namespace quantspec {

ThreadPool& Pool() {
  static ThreadPool pool([] {
    const char* threads = std::getenv("QUANTSPEC_BENCH_THREADS");
    return threads != nullptr ? std::atoi(threads) : DefaultThreads();
  }());
  return pool;
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::unique_ptr<Backend> MakeBackend() {
  const char* isa = std::getenv("QUANTSPEC_ISA");
  return isa != nullptr ? MakeCpuBackend(Pool(), isa) : MakeCpuBackend(Pool());
}

double ReadSeconds() {
  static const Buffer buffer = [] {
    Buffer memory(kRotatedBytes);
    std::fill_n(memory.As<uint64_t>(), memory.bytes() / 8, 1);
    return memory;
  }();
  const double begin = Seconds();
  Pool().Run([&](int thread) {
    using Vector = uint64_t __attribute__((vector_size(16)));
    constexpr int64_t kLine = 4;  // vectors; prefetched 2 KB ahead, which is faster than without
    const int64_t vectors = static_cast<int64_t>(kRotatedBytes / sizeof(Vector));
    const Range part = PartOf(vectors, thread, Pool().threads(), kLine);
    const Vector* values = buffer.As<Vector>();
    Vector sums[kLine] = {};
    for (int64_t i = part.begin; i < part.end; i += kLine) {
      __builtin_prefetch(values + i + 32 * kLine);
      for (int64_t j = 0; j < kLine; ++j) sums[j] += values[i + j];
    }
    Vector sum = sums[0] + sums[1] + sums[2] + sums[3];
    benchmark::DoNotOptimize(sum);
  });
  return Seconds() - begin;
}

}  // namespace quantspec
