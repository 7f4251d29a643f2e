// How fast threads read memory, one line after another: the roof under which decoding stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/buffer.h"
#include "base/thread_pool.h"

namespace quantspec {

class PlainRead {
 public:
  // `bytes` of memory, taken as the engine takes its own. Throws Error{kMemory}.
  PlainRead(ThreadPool& pool, size_t bytes);
  // Seconds that the pool's threads take to read all of it once, each its part.
  double Seconds();

 private:
  std::span<uint64_t> PartOfThread(int thread) const;

  ThreadPool& pool_;
  Buffer memory_;
};

}  // namespace quantspec
