#include "bench/peak.h"

#include <chrono>
#include <cstdint>
#include <vector>

#include "kernels/cpu/isa.h"

namespace quantspec {
namespace {

constexpr int kRuns = 12;
constexpr double kLeastUs = 5000;

using Kernel = int64_t (*)(int64_t steps);

PeakRate RunOnce(ThreadPool& pool, Kernel kernel, int64_t steps) {
  using Clock = std::chrono::steady_clock;
  std::vector<int64_t> operations(static_cast<size_t>(pool.threads()));
  const Clock::time_point start = Clock::now();
  pool.Run([&](int thread) { operations[static_cast<size_t>(thread)] = kernel(steps); });
  PeakRate rate;
  rate.us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  for (const int64_t of_thread : operations) rate.operations += static_cast<double>(of_thread);
  return rate;
}

PeakRate Measure(ThreadPool& pool, Kernel kernel) {
  if (kernel == nullptr) return {};
  int64_t steps = 1;
  while (RunOnce(pool, kernel, steps).us < kLeastUs) steps *= 2;
  PeakRate best = RunOnce(pool, kernel, steps);
  for (int run = 1; run < kRuns; ++run) {
    const PeakRate rate = RunOnce(pool, kernel, steps);
    if (rate.us < best.us) best = rate;
  }
  return best;
}

}  // namespace

Peaks MeasurePeaks(ThreadPool& pool, std::string_view isa) {
  const cpu::PeakKernels& kernels = cpu::FindTable(isa).peak;
  return {Measure(pool, kernels.int4), Measure(pool, kernels.int8), Measure(pool, kernels.f32),
          Measure(pool, kernels.bf16)};
}

}  // namespace quantspec
