// The scheduler's thread: admits requests from a queue into the batch and turns it.
#include "quantspec/scheduler.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "decode/decoding.h"
#include "decode/generate.h"
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

void CheckStops(const std::vector<std::string>& stops) {
  if (std::ranges::find(stops, "") == stops.end()) return;
  throw Error(ErrorKind::kUsage, "stops: found an empty text, expected texts that end an answer");
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
    const Size size = SizeOf(request);
    CheckPrompt(request.prompt.size(), 0, 0, size.context);
    CheckFits(size.reserve);
    CheckStops(request.stops);
    if (!request.stops.empty()) {
      job->stop = std::make_unique<StopSearch>(engine_->file().tokenizer(), request.stops);
    }
    job->start_s = SteadySeconds();
    job->stream = std::make_shared<StreamQueue>(options_.stream_tokens, request.tag, bell_);
    job->request = std::move(request);
    std::shared_ptr<Stream> stream = MakeStream(job->stream);
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      CheckQueueSize();
      queue_.push_back({std::move(job), size});
      ++submitted_;
    }
    bell_->Ring();
    return stream;
  }

  void CheckQueue() const override {
    const std::lock_guard<std::mutex> guard(mutex_);
    CheckQueueSize();
  }

  SchedulerCounters counters() const override {
    const std::lock_guard<std::mutex> guard(mutex_);
    SchedulerCounters counters = published_;
    counters.queued = static_cast<int>(queue_.size());
    counters.submitted = submitted_;
    return counters;
  }

 private:
  // The caller holds mutex_.
  void CheckQueueSize() const {
    if (queue_.size() < static_cast<size_t>(options_.max_queue)) return;
    throw Error(ErrorKind::kBusy, "the queue is full: " + std::to_string(queue_.size()) +
                                      " requests wait; try again later");
  }

  struct Size {
    int context;  // tokens that the sequence may grow to
    int reserve;  // tokens that it has room for from the beginning
  };
  struct Waiting {
    std::unique_ptr<Job> job;
    Size size;
  };

  Size SizeOf(const Request& request) const {
    const auto prompt = static_cast<int64_t>(request.prompt.size());
    const int64_t most =
        options_.session.context > 0 ? options_.session.context : engine_->file().info().context;
    Size size;
    size.context = static_cast<int>(std::min(prompt + request.generate.max_tokens, most));
    size.reserve = size.context;
    if (request.reserve_tokens > 0 && options_.session.cache == CacheKind::kHierarchical) {
      const int64_t reserve = prompt + request.reserve_tokens;
      size.reserve = static_cast<int>(std::min<int64_t>(size.context, reserve));
      size.context = std::min(size.context, std::max(core_.limits().tokens, size.reserve));
    }
    return size;
  }

  void CheckFits(int tokens) const {
    if (tokens <= core_.limits().tokens) return;
    throw Error(ErrorKind::kMemory, "the request needs " + std::to_string(tokens) +
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
      // Room may also be given back by a session, which rings no bell.
      if (!has_worked) bell_->Wait(HasWaiting() || batch_.wants_room() ? kLookForPlace_s : 0);
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
    const Waiting* first = nullptr;  // stays where it is while others are added
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (queue_.empty()) return std::nullopt;
      first = &queue_.front();
    }
    if (!HasPlace(*first)) return std::nullopt;
    const std::lock_guard<std::mutex> guard(mutex_);
    Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    return waiting;
  }

  bool HasPlace(const Waiting& waiting) {
    if (batch_.size() >= core_.limits().sequences || batch_.waiting() > 0) return false;
    if (options_.session.cache == CacheKind::kFull) {
      return batch_.contexts() + waiting.size.context <= core_.limits().tokens;
    }
    const Turn turn(core_.turns());
    return ReserveOf(waiting) / kKvGroup <= core_.Pool().pool->unreserved();
  }

  // Tokens to reserve beside those that the prompt shares with sequences which are there. The
  // caller has the turn.
  int ReserveOf(const Waiting& waiting) {
    const int tokens = waiting.size.reserve;
    if (options_.session.reuse == PromptReuse::kNone) return tokens;
    const Request& request = waiting.job->request;
    const int held =
        core_.store()->CountHeld(SaltOf(request), request.prompt, options_.session.reuse);
    return std::max(tokens - held * kKvGroup, 1);
  }

  const std::string& SaltOf(const Request& request) const {
    return request.salt.empty() ? options_.session.salt : request.salt;
  }

  std::unique_ptr<Sequence> MakeSequence(const Waiting& waiting) {
    SessionOptions session = options_.session;
    session.context = waiting.size.context;
    session.salt = SaltOf(waiting.job->request);
    SequenceSpec spec = engine_->SequenceOf(session);
    if (session.cache == CacheKind::kHierarchical) {
      const Turn turn(core_.turns());
      spec.cache.reserve = ReserveOf(waiting);
    }
    return std::make_unique<Sequence>(core_, spec);
  }

  bool Admit() {
    bool has_admitted = EndCancelledWaiting();
    while (std::optional<Waiting> waiting = TakeWaiting()) {
      has_admitted = true;
      const std::shared_ptr<StreamQueue> stream = waiting->job->stream;
      try {
        waiting->job->sequence = MakeSequence(*waiting);
        batch_.Add(std::move(waiting->job));
      } catch (const std::exception& exception) {
        stream->Push(ErrorEvent(exception));
      }
    }
    return has_admitted;
  }

  void Publish() {
    SchedulerCounters counters = batch_.counters();
    counters.cancelled += cancelled_unread_;
    if (core_.has_pool()) {
      const Turn turn(core_.turns());
      counters.pool_groups = core_.Pool().pool->slots();
      counters.pool_free = core_.Pool().pool->unreserved();
    }
    const std::lock_guard<std::mutex> guard(mutex_);
    published_ = counters;
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
