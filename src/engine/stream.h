// The queue between the scheduler's thread and the reader of one answer.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "quantspec/scheduler.h"

namespace quantspec {

// Wakes the scheduler's thread, and tells it to wake its readers. Shared, as streams may outlive
// the scheduler.
class Bell {
 public:
  // `wake_readers`: SchedulerOptions::wake.
  explicit Bell(std::function<void(std::span<const uint64_t>)> wake_readers)
      : wake_readers_(std::move(wake_readers)) {}

  // ---- the scheduler's thread
  // The request with this tag got an event.
  void NoteEvent(uint64_t tag) {
    if (wake_readers_) ready_.push_back(tag);
  }
  // Calls `wake_readers` if requests got events since the last call.
  void WakeReaders() {
    if (ready_.empty()) return;
    std::ranges::sort(ready_);
    ready_.erase(std::unique(ready_.begin(), ready_.end()), ready_.end());
    wake_readers_(ready_);
    ready_.clear();
  }

  void Ring() {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      has_rung_ = true;
    }
    changed_.notify_one();
  }
  // Returns once it has rung since the last Wait, or after a while if `most_s` is not 0.
  void Wait(double most_s) {
    std::unique_lock<std::mutex> guard(mutex_);
    const auto has_rung = [&] { return has_rung_; };
    if (most_s > 0) {
      changed_.wait_for(guard, std::chrono::duration<double>(most_s), has_rung);
    } else {
      changed_.wait(guard, has_rung);
    }
    has_rung_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_rung_ = false;
  const std::function<void(std::span<const uint64_t>)> wake_readers_;
  std::vector<uint64_t> ready_;  // tags of requests that got events
};

class StreamQueue {
 public:
  StreamQueue(int capacity, uint64_t tag, std::shared_ptr<Bell> bell)
      : capacity_(static_cast<size_t>(capacity)), tag_(tag), bell_(std::move(bell)) {}

  // ---- the scheduler's side
  // True if `tokens` more tokens fit; the last event is always taken.
  bool HasRoom(int tokens) const;
  void Push(StreamEvent event);
  bool is_cancelled() const { return is_cancelled_; }
  void set_prompt_done(int tokens) { prompt_done_ = tokens; }

  // ---- the reader's side
  std::optional<StreamEvent> Next(double timeout_s);
  void Cancel();
  int prompt_done() const { return prompt_done_; }

 private:
  const size_t capacity_;
  const uint64_t tag_;  // of the request
  std::shared_ptr<Bell> bell_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<StreamEvent> events_;
  bool is_complete_ = false;  // the last event was pushed
  std::atomic<bool> is_cancelled_{false};
  std::atomic<int> prompt_done_{0};
};

// The last event of a request that failed with `exception`; what is no Error ran out of memory.
StreamEvent ErrorEvent(const std::exception& exception);

// A reader's hold on a queue.
std::shared_ptr<Stream> MakeStream(std::shared_ptr<StreamQueue> queue);

}  // namespace quantspec
