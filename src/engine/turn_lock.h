// A lock whose waiters get it in the order they came, so that sessions on several threads take
// turns by step.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace quantspec {

class TurnLock {
 public:
  void lock() {
    std::unique_lock<std::mutex> guard(mutex_);
    const uint64_t ticket = next_ticket_++;
    changed_.wait(guard, [&] { return ticket == serving_; });
  }
  void unlock() {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      ++serving_;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ticket_ = 0;
  uint64_t serving_ = 0;
};

using Turn = std::lock_guard<TurnLock>;

}  // namespace quantspec
