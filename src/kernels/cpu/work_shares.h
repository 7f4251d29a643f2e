// Splitting a list of equal tasks over threads so that a slow thread (a shared machine, a busy
// sibling) does not hold up the others: each thread works through its own part in small bites and
// then helps itself from what others have left. Results never depend on who did what.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/thread_pool.h"

namespace quantspec::cpu {

class WorkShares {
 public:
  explicit WorkShares(int threads)
      : threads_(threads), cursors_(std::make_unique<Cursor[]>(static_cast<size_t>(threads))) {}

  // Before the pool runs.
  void Start(int64_t tasks) {
    tasks_ = tasks;
    bite_ = std::max<int64_t>(1, tasks / threads_ / 8);
    for (int thread = 0; thread < threads_; ++thread) {
      cursors_[thread].next.store(PartOf(tasks, thread, threads_).begin, std::memory_order_relaxed);
    }
  }

  // On every thread: calls each(begin, end) until no task is left.
  template <typename Each>
  void Work(int thread, const Each& each) {
    for (int i = 0; i < threads_; ++i) {
      const int owner = (thread + i) % threads_;
      const int64_t end = PartOf(tasks_, owner, threads_).end;
      for (;;) {
        const int64_t begin = cursors_[owner].next.fetch_add(bite_, std::memory_order_relaxed);
        if (begin >= end) break;
        each(begin, std::min(begin + bite_, end));
      }
    }
  }

 private:
  struct alignas(64) Cursor {
    std::atomic<int64_t> next{0};
  };
  int threads_;
  int64_t tasks_ = 0;
  int64_t bite_ = 1;
  std::unique_ptr<Cursor[]> cursors_;
};

}  // namespace quantspec::cpu
