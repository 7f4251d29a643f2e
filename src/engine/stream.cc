#include "engine/stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr double kLongestWait_s = 1e6;

class StreamImpl : public Stream {
 public:
  explicit StreamImpl(std::shared_ptr<StreamQueue> queue) : queue_(std::move(queue)) {}
  ~StreamImpl() override { queue_->Cancel(); }
  std::optional<StreamEvent> Next(double timeout_s) override { return queue_->Next(timeout_s); }
  void Cancel() override { queue_->Cancel(); }
  int prompt_done() const override { return queue_->prompt_done(); }

 private:
  std::shared_ptr<StreamQueue> queue_;
};

}  // namespace

bool StreamQueue::HasRoom(int tokens) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  return events_.size() + static_cast<size_t>(tokens) <= capacity_;
}

void StreamQueue::Push(StreamEvent event) {
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    is_complete_ = event.kind != StreamEvent::Kind::kToken;
    events_.push_back(std::move(event));
  }
  changed_.notify_all();
  bell_->NoteEvent(tag_);
}

std::optional<StreamEvent> StreamQueue::Next(double timeout_s) {
  std::optional<StreamEvent> event;
  bool had_no_room = false;
  {
    std::unique_lock<std::mutex> guard(mutex_);
    if (timeout_s > 0) {
      const std::chrono::duration<double> timeout(std::min(timeout_s, kLongestWait_s));
      changed_.wait_for(guard, timeout, [&] { return is_complete_ || !events_.empty(); });
    }
    if (events_.empty()) return event;
    had_no_room = events_.size() + kMaxGamma + 1 > capacity_;
    event = std::move(events_.front());
    events_.pop_front();
  }
  if (had_no_room) bell_->Ring();
  return event;
}

void StreamQueue::Cancel() {
  if (!is_cancelled_.exchange(true)) bell_->Ring();
}

StreamEvent ErrorEvent(const std::exception& exception) {
  const auto* error = dynamic_cast<const Error*>(&exception);
  StreamEvent event;
  event.kind = StreamEvent::Kind::kError;
  event.error_kind = error != nullptr ? error->kind() : ErrorKind::kMemory;
  event.error = exception.what();
  return event;
}

std::shared_ptr<Stream> MakeStream(std::shared_ptr<StreamQueue> queue) {
  return std::make_shared<StreamImpl>(std::move(queue));
}

}  // namespace quantspec
