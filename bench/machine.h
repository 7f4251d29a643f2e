// What the kernel benchmarks share: threads, clock, backend and the plain read that a kernel's
// speed is a share of. QUANTSPEC_ISA picks the instruction set, QUANTSPEC_BENCH_THREADS the
// threads.
#pragma once

#include <cstddef>
#include <memory>

#include "base/thread_pool.h"
#include "kernels/backend.h"

namespace quantspec {

// One iteration reads about as much, kernel and plain read each: together more than any last-level
// cache met so far holds (300 MB).
inline constexpr size_t kRotatedBytes = size_t{320} << 20;

ThreadPool& Pool();
double Seconds();
std::unique_ptr<Backend> MakeBackend();

// Seconds to read kRotatedBytes of memory with all threads, once.
double ReadSeconds();

}  // namespace quantspec
