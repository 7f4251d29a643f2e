#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace quantspec {
namespace {

TEST(ThreadPool, RunsEveryThreadOncePerJob) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    std::vector<int> calls(static_cast<size_t>(threads), 0);
    for (int job = 0; job < 2000; ++job) {
      pool.Run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
    }
    for (const int count : calls) EXPECT_EQ(count, 2000);
  }
}

TEST(ThreadPool, TasksAreDoneOnceEach) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const int64_t tasks : {0, 1, 2, 7, 100, 1000}) {
      for (const int64_t most : {0, 1, 3}) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(tasks));
        for (int job = 0; job < 20; ++job) {
          pool.ForTasks(tasks, most, [&](int thread, int64_t begin, int64_t end) {
            EXPECT_TRUE(thread >= 0 && thread < threads);
            for (int64_t i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
          });
        }
        for (const std::atomic<int>& count : done) EXPECT_EQ(count, 20);
      }
    }
  }
}

// A worker that stands still in the middle of a job stands for one that the system took off its
// CPU: the next jobs do without it, and later it takes part again.
TEST(ThreadPool, LeavesOutAWorkerThatHeldOthersUp) {
  using std::chrono::milliseconds;
  ThreadPool pool(2);
  std::atomic<int> by_worker{0};
  // The caller gives the worker a moment to come, once.
  const auto work = [&](milliseconds stall) {
    by_worker = 0;
    bool has_waited = false;
    pool.ForTasks(64, 1, [&](int thread, int64_t, int64_t) {
      if (thread != 0) {
        if (by_worker++ == 0) std::this_thread::sleep_for(stall);
      } else if (!has_waited) {
        has_waited = true;
        const auto end = std::chrono::steady_clock::now() + milliseconds(3);
        while (by_worker == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      }
    });
    return by_worker.load();
  };
  // A loaded machine may spoil an attempt: a worker comes late, or we stand still ourselves.
  bool was_left_out = false, came_back = false;
  for (int attempt = 0; attempt < 20 && !was_left_out; ++attempt) {
    if (work(milliseconds(60)) > 0) was_left_out = work(milliseconds(0)) == 0;
  }
  for (int attempt = 0; attempt < 100 && !came_back; ++attempt) {
    std::this_thread::sleep_for(milliseconds(10));
    came_back = work(milliseconds(0)) > 0;
  }
  EXPECT_TRUE(was_left_out);
  EXPECT_TRUE(came_back);
}

// Late workers must not take up a job that is over, or one of a pool that is going.
TEST(ThreadPool, EndsWhileWorkersAreLate) {
  for (int i = 0; i < 300; ++i) {
    ThreadPool pool(4);
    std::atomic<int> done{0};
    pool.ForTasks(4, 1, [&](int, int64_t, int64_t) { ++done; });
    EXPECT_EQ(done, 4);
  }
}

TEST(ThreadPool, WakesUpAfterItSlept) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pool.Run([&](int) { ++calls; });
  }
  EXPECT_EQ(calls, 15);
}

TEST(ThreadPool, CallersWaitForEachOther) {
  ThreadPool pool(2);
  int inside = 0;  // unguarded on purpose: only thread 0 of one job at a time may touch it
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int job = 0; job < 500; ++job) {
        pool.Run([&](int thread) {
          if (thread == 0) ++inside;
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(inside, 2000);
}

TEST(ThreadPool, PartsCoverTheRangeWithoutOverlap) {
  for (const int threads : {1, 2, 3, 7}) {
    for (const int64_t count : {0, 1, 5, 16, 100}) {
      for (const int64_t grain : {1, 4, 16}) {
        int64_t next = 0;
        for (int thread = 0; thread < threads; ++thread) {
          const Range part = PartOf(count, thread, threads, grain);
          EXPECT_EQ(part.begin, next);
          EXPECT_TRUE(part.end == count || part.end % grain == 0);
          next = part.end;
        }
        EXPECT_EQ(next, count);
      }
    }
  }
}

// Waits a moment for the others, so that every thread of a job is in it when one throws.
template <typename Ready>
void AwaitBriefly(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  while (!ready() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

TEST(ThreadPool, AnExceptionOfAnyThreadReachesTheCallerWhenAllHaveFinished) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int thrower = 0; thrower < threads; ++thrower) {
      std::atomic<int> finished{0};
      try {
        pool.Run([&](int thread) {
          if (thread == thrower) throw std::runtime_error(std::to_string(thread));
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
          ++finished;
        });
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), std::to_string(thrower));
      }
      EXPECT_EQ(finished, threads - 1);
      // The next job knows nothing of it.
      std::atomic<int> calls{0};
      pool.Run([&](int) { ++calls; });
      EXPECT_EQ(calls, threads);
    }
  }
}

TEST(ThreadPool, OneExceptionIsLeftWhereAllThreadsThrow) {
  ThreadPool pool(4);
  for (int job = 0; job < 100; ++job) {
    EXPECT_THROW(pool.Run([](int) { throw std::bad_alloc(); }), std::bad_alloc);
    EXPECT_THROW(pool.ForTasks(8, 1, [](int, int64_t, int64_t) { throw std::bad_alloc(); }),
                 std::bad_alloc);
  }
  std::atomic<int> done{0};
  pool.ForTasks(8, 1, [&](int, int64_t, int64_t) { ++done; });
  EXPECT_EQ(done, 8);
}

TEST(ThreadPool, AnExceptionInATaskReachesTheCallerAndOthersDoTheRest) {
  ThreadPool pool(3);
  for (const bool by_caller : {true, false}) {
    std::atomic<int> begun{0}, done{0};
    std::atomic<bool> has_thrown{false};
    try {
      pool.ForTasks(60, 1, [&](int thread, int64_t, int64_t) {
        if (begun++ < 3) AwaitBriefly([&] { return begun >= 3; });
        if ((thread == 0) == by_caller && !has_thrown.exchange(true)) {
          throw std::runtime_error("task");
        }
        ++done;
      });
      EXPECT_FALSE(has_thrown);  // by a worker that came too late to work
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "task");
      EXPECT_TRUE(has_thrown);
      EXPECT_EQ(done, 59);
    }
  }
}

}  // namespace
}  // namespace quantspec
