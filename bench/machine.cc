#include "machine.h"

#include <chrono>
#include <cstdlib>

#include "base/cpus.h"
#include "bench/plain_read.h"

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
  static PlainRead read(Pool(), kRotatedBytes);
  return read.Seconds();
}

}  // namespace quantspec
