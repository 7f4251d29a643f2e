// Splitting a list of tasks over threads so that a slow thread (a shared machine, a busy sibling)
// does not hold up the others: each thread works through its own part in bites and then helps
// itself from what others have left. Bites are a quarter of what is left, so that all end together.
// Results must not depend on who does what.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

namespace quantspec {

// The part of [0, count) that belongs to `thread` of `threads`, in whole units of `grain`.
struct Range {
  int64_t begin;
  int64_t end;
};
inline Range PartOf(int64_t count, int thread, int threads, int64_t grain = 1) {
  const int64_t units = (count + grain - 1) / grain;
  const int64_t begin = units * thread / threads * grain;
  const int64_t end = units * (thread + 1) / threads * grain;
  return {begin < count ? begin : count, end < count ? end : count};
}

class WorkShares {
 public:
  explicit WorkShares(int threads)
      : threads_(threads), cursors_(std::make_unique<Cursor[]>(static_cast<size_t>(threads))) {}

  // Before any thread works. `most`: tasks taken at once at most; 0 = no limit.
  void Start(int64_t tasks, int64_t most) {
    tasks_ = tasks;
    most_ = most > 0 ? most : tasks;
    for (int thread = 0; thread < threads_; ++thread) {
      cursors_[thread].next.store(PartOf(tasks, thread, threads_).begin, std::memory_order_relaxed);
    }
  }

  // On any thread, on several or one alone: calls each(begin, end) until every task is taken.
  template <typename Each>
  void Work(int thread, const Each& each) {
    for (int i = 0; i < threads_; ++i) {
      const int owner = (thread + i) % threads_;
      const int64_t end = PartOf(tasks_, owner, threads_).end;
      std::atomic<int64_t>& next = cursors_[owner].next;
      int64_t begin = next.load(std::memory_order_relaxed);
      while (begin < end) {
        const int64_t bite = std::clamp<int64_t>((end - begin) / 4, 1, most_);
        if (!next.compare_exchange_weak(begin, begin + bite, std::memory_order_relaxed)) continue;
        each(begin, begin + bite);
        begin = next.load(std::memory_order_relaxed);
      }
    }
  }

 private:
  struct alignas(64) Cursor {
    std::atomic<int64_t> next{0};
  };
  int threads_;
  int64_t tasks_ = 0;
  int64_t most_ = 1;
  std::unique_ptr<Cursor[]> cursors_;
};

}  // namespace quantspec
