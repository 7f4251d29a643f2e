#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
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

TEST(ThreadPool, CountsAtLeastOneThread) { EXPECT_GE(DefaultThreads(), 1); }

}  // namespace
}  // namespace quantspec
