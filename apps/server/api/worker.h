// A thread for what would keep the I/O thread from its sockets: reading large requests.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace quantspec::server {

class Worker {
 public:
  explicit Worker(size_t most_waiting);
  // Drops the tasks that have not begun and waits for the one that has.
  ~Worker();

  // False if too many wait. A task may not throw.
  bool Add(std::function<void()> task);

 private:
  void Run();

  const size_t most_waiting_;
  std::mutex mutex_;  // guards tasks_ and is_ending_
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool is_ending_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace quantspec::server
