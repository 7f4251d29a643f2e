// A fixed set of threads that run one function together.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

#include "base/work_shares.h"

namespace quantspec {

// Workers spin briefly between jobs, then sleep. Callers wait for each other. Nothing allocates.
// If threads of a job throw, the others finish their part; then the caller gets the exception that
// came first, and the pool is ready for the next job.
class ThreadPool {
 public:
  // `threads` >= 1, the caller included. Throws Error{kMemory} if the system starts fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls each(thread) once for every thread in [0, threads()); returns when all are done.
  template <typename Each>
  void Run(Each&& each) {
    RunAll([](void* context,
              int thread) { (*static_cast<std::remove_reference_t<Each>*>(context))(thread); },
           AddressOf(each));
  }

  // Calls each(thread, begin, end) until [0, tasks) is covered; returns when all calls have.
  // `most` as in WorkShares. Whoever has time works: a worker that has not begun by the time that
  // all is done is not waited for, and one that the system took off its CPU in the middle of a job
  // is left out for a while, so that another process's load costs us a core and not the rest.
  template <typename Each>
  void ForTasks(int64_t tasks, int64_t most, Each&& each) {
    struct Job {
      WorkShares& shares;
      std::remove_reference_t<Each>& each;
    } job{shares_, each};
    RunTasks(
        tasks, most,
        [](void* context, int thread) {
          Job& mine = *static_cast<Job*>(context);
          mine.shares.Work(thread,
                           [&](int64_t begin, int64_t end) { mine.each(thread, begin, end); });
        },
        &job);
  }

 private:
  using Function = void (*)(void* context, int thread);
  struct State;

  template <typename T>
  static void* AddressOf(T& object) {
    return const_cast<void*>(static_cast<const void*>(&object));
  }
  void RunAll(Function function, void* context);
  void RunTasks(int64_t tasks, int64_t most, Function function, void* context);

  WorkShares shares_;
  std::unique_ptr<State> state_;
};

}  // namespace quantspec
