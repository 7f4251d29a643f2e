#include "server/api/worker.h"

#include <utility>

namespace quantspec::server {

Worker::Worker(size_t most_waiting) : most_waiting_(most_waiting), thread_([this] { Run(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    is_ending_ = true;
    tasks_.clear();
  }
  changed_.notify_one();
  thread_.join();
}

bool Worker::Add(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (tasks_.size() >= most_waiting_) return false;
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
  return true;
}

void Worker::Run() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> guard(mutex_);
      changed_.wait(guard, [&] { return is_ending_ || !tasks_.empty(); });
      if (is_ending_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace quantspec::server
