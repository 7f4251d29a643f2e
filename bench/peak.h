// The arithmetic of this machine: what the dot products of its instruction set would do if nothing
// waited for memory. For tools that say how far a kernel is from it.
#pragma once

#include <string_view>

#include "base/thread_pool.h"

namespace quantspec {

// Additions and multiplications together, of all threads of a pool.
struct PeakRate {
  double operations = 0;  // of one run; 0: the instruction set has no such products
  double us = 0;          // of that run
};

struct Peaks {
  PeakRate int4;  // 4-bit codes by int8: one plane
  PeakRate int8;  // 8-bit codes by int8: both planes joined
  PeakRate f32;
  PeakRate bf16;
};

// The best of a few runs each, about half a second in all. `isa` is one of AvailableIsas(); throws
// Error{kUsage} otherwise.
Peaks MeasurePeaks(ThreadPool& pool, std::string_view isa);

}  // namespace quantspec
