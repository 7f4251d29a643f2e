// A fixed set of threads that run one function together.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace quantspec {

// Threads that the process can really use: physical cores within its affinity and cgroup quota.
int DefaultThreads();

// Workers spin briefly between jobs, then sleep. Callers of Run wait for each other.
class ThreadPool {
 public:
  // `threads` >= 1, the caller of Run included.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls function(context, thread) once for every thread in [0, threads()); returns when all are
  // done. Allocates nothing.
  using Function = void (*)(void* context, int thread);
  void Run(Function function, void* context);

  // The same for a callable, which stays on the caller's stack.
  template <typename Callable>
  void Run(Callable&& callable) {
    using C = std::remove_reference_t<Callable>;
    Run([](void* context, int thread) { (*static_cast<C*>(context))(thread); },
        const_cast<void*>(static_cast<const void*>(&callable)));
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

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

}  // namespace quantspec
