// The scheduler's thread: admits requests from a queue into the batch and turns it.
#include "quantspec/scheduler.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "decode/decoding.h"
#include "engine/batch.h"
#include "engine/engine_impl.h"
#include "engine/session.h"
#include "engine/stream.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr double kLookForPlace_s = 0.05;

void CheckOptions(const SchedulerOptions& options) {
  if (options.max_queue < 1) {
    throw Error(ErrorKind::kUsage,
                "max_queue: found " + std::to_string(options.max_queue) + ", expected 1 or more");
  }
  if (options.stream_tokens < kMaxGamma + 2) {
    throw Error(ErrorKind::kUsage, "stream_tokens: found " + std::to_string(options.stream_tokens) +
                                       ", expected " + std::to_string(kMaxGamma + 2) + " or more");
  }
}

class SchedulerImpl : public Scheduler {
 public:
  SchedulerImpl(std::shared_ptr<const EngineImpl> engine, const SchedulerOptions& options)
      : engine_(std::move(engine)),
        options_(options),
        bell_(std::make_shared<Bell>(options.wake)),
        core_(engine_->Core(options.session)),
        batch_(core_, engine_->IsEndToken(), engine_->tokens(), bell_),
        thread_([this] { Run(); }) {}

  ~SchedulerImpl() override {
    is_ending_ = true;
    bell_->Ring();
    thread_.join();
  }

  std::shared_ptr<Stream> Submit(Request request) override {
    CheckGenerate(request.generate);
    CheckTokens(request.prompt, engine_->tokens());
    auto job = std::make_unique<Job>();
    const int context = ContextOf(request);
    CheckPrompt(request.prompt.size(), 0, 0, context);
    CheckFits(context);
    job->stream = std::make_shared<StreamQueue>(options_.stream_tokens, bell_);
    job->request = std::move(request);
    std::shared_ptr<Stream> stream = MakeStream(job->stream);
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (queue_.size() >= static_cast<size_t>(options_.max_queue)) {
        throw Error(ErrorKind::kBusy, "the queue is full: " + std::to_string(queue_.size()) +
                                          " requests wait; try again later");
      }
      queue_.push_back({std::move(job), context});
      ++submitted_;
    }
    bell_->Ring();
    return stream;
  }

  SchedulerCounters counters() const override {
    const std::lock_guard<std::mutex> guard(mutex_);
    SchedulerCounters counters = published_;
    counters.queued = static_cast<int>(queue_.size());
    counters.submitted = submitted_;
    return counters;
  }

 private:
  struct Waiting {
    std::unique_ptr<Job> job;
    int context;
  };

  int ContextOf(const Request& request) const {
    if (options_.session.context > 0) return options_.session.context;
    const int64_t needed =
        static_cast<int64_t>(request.prompt.size()) + request.generate.max_tokens;
    return static_cast<int>(std::min<int64_t>(needed, engine_->file().info().context));
  }

  void CheckFits(int context) const {
    if (context <= core_.limits().tokens) return;
    throw Error(ErrorKind::kMemory, "the request needs " + std::to_string(context) +
                                        " tokens, but the engine's cache holds " +
                                        std::to_string(core_.limits().tokens) +
                                        "; shorten it or use a larger --cache-tokens");
  }

  void Run() {
    while (!is_ending_) {
      bool has_worked = false;
      try {
        has_worked = Admit();
        has_worked |= batch_.Turn();
      } catch (...) {
        batch_.FailAll();
        has_worked = true;
      }
      Publish();
      batch_.Deliver();
      bell_->WakeReaders();
      // A place may also be given back by a session, which rings no bell.
      if (!has_worked) bell_->Wait(HasWaiting() ? kLookForPlace_s : 0);
    }
    batch_.CancelAll();
    batch_.Deliver();
    std::deque<Waiting> rest;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      rest.swap(queue_);
    }
    for (Waiting& waiting : rest) EndUnread(*waiting.job);
    bell_->WakeReaders();
  }

  // A request that never began.
  void EndUnread(Job& job) {
    StreamEvent event;
    event.kind = StreamEvent::Kind::kCancelled;
    event.result.finish = FinishReason::kInterrupted;
    ++cancelled_unread_;
    job.stream->Push(std::move(event));
  }

  bool HasWaiting() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    return !queue_.empty();
  }

  // Ends the waiting requests that are cancelled; true if there was one.
  bool EndCancelledWaiting() {
    std::vector<Waiting> cancelled;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      for (Waiting& waiting : queue_) {
        if (waiting.job->stream->is_cancelled()) cancelled.push_back(std::move(waiting));
      }
      std::erase_if(queue_, [](const Waiting& waiting) { return waiting.job == nullptr; });
    }
    for (Waiting& waiting : cancelled) EndUnread(*waiting.job);
    return !cancelled.empty();
  }

  // The oldest waiting request if there is a place for it. Only this thread takes requests out.
  std::optional<Waiting> TakeWaiting() {
    int context = 0;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (queue_.empty()) return std::nullopt;
      context = queue_.front().context;
    }
    if (!HasPlace(context)) return std::nullopt;
    const std::lock_guard<std::mutex> guard(mutex_);
    Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    return waiting;
  }

  bool HasPlace(int context) {
    if (batch_.size() >= core_.limits().sequences) return false;
    if (options_.session.cache == CacheKind::kFull) {
      return batch_.contexts() + context <= core_.limits().tokens;
    }
    const Turn turn(core_.turns());
    const GroupPool& pool = *core_.Pool().pool;
    return context / kKvGroup <= pool.slots() - pool.reserved();
  }

  bool Admit() {
    bool has_admitted = EndCancelledWaiting();
    while (std::optional<Waiting> waiting = TakeWaiting()) {
      has_admitted = true;
      const std::shared_ptr<StreamQueue> stream = waiting->job->stream;
      try {
        SessionOptions session = options_.session;
        session.context = waiting->context;
        waiting->job->sequence = std::make_unique<Sequence>(core_, engine_->SequenceOf(session));
        batch_.Add(std::move(waiting->job));
      } catch (const std::exception& exception) {
        stream->Push(ErrorEvent(exception));
      }
    }
    return has_admitted;
  }

  void Publish() {
    const BatchCounters& counters = batch_.counters();
    const std::lock_guard<std::mutex> guard(mutex_);
    published_.reading = batch_.reading();
    published_.decoding = batch_.decoding();
    published_.finished = counters.finished;
    published_.cancelled = counters.cancelled + cancelled_unread_;
    published_.failed = counters.failed;
    published_.prompt_tokens = counters.prompt_tokens;
    published_.cached_tokens = counters.cached_tokens;
    published_.generated_tokens = counters.generated_tokens;
    published_.passes = counters.passes;
    published_.pass_sequences = counters.pass_sequences;
  }

  std::shared_ptr<const EngineImpl> engine_;
  SchedulerOptions options_;
  std::shared_ptr<Bell> bell_;
  EngineCore& core_;
  Batch batch_;
  int64_t cancelled_unread_ = 0;  // of the thread, as the batch is
  std::atomic<bool> is_ending_{false};
  mutable std::mutex mutex_;  // guards queue_, submitted_ and published_
  std::deque<Waiting> queue_;
  int64_t submitted_ = 0;
  SchedulerCounters published_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

std::unique_ptr<Scheduler> Scheduler::Start(std::shared_ptr<const Engine> engine,
                                            const SchedulerOptions& options) {
  CheckOptions(options);
  auto implementation = std::dynamic_pointer_cast<const EngineImpl>(std::move(engine));
  QS_CHECK(implementation != nullptr);
  implementation->SequenceOf(options.session);  // checks
  return std::make_unique<SchedulerImpl>(std::move(implementation), options);
}

}  // namespace quantspec
