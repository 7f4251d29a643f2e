#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/check.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using Clock = std::chrono::steady_clock;

// About 20 microseconds of polling: longer than the gaps between the operations of one step, short
// enough that an idle engine costs nothing.
constexpr int kSpins = 4000;

// A worker that keeps the caller waiting longer than this, and longer than the caller's own work
// took, was taken off its CPU: the last bite of a job is a small part of what either does.
constexpr Clock::duration kStall = std::chrono::microseconds(300);
// It is left out for so long; twice as long if it happens again as soon.
constexpr Clock::duration kShortestLeave = std::chrono::milliseconds(4);
constexpr Clock::duration kLongestLeave = std::chrono::milliseconds(256);

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Time to compare, read in 8 ns.
uint64_t Ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<uint64_t>(Clock::now().time_since_epoch().count());
#endif
}

enum Phase : uint32_t {
  kIdle,
  kOffered,  // a job waits for the worker
  kTaken,    // the worker is at it
};

// Where the pool and one worker meet: a cache line that says all there is to know about a job.
// Whoever sleeps is counted, since std::atomic's notify calls the system even if nobody does, which
// took 3 % of a step with its 150 jobs.
struct alignas(64) Seat {
  std::atomic<uint32_t> phase{kIdle};
  std::atomic<uint32_t> sleepers{0};
  void (*function)(void* context, int thread) = nullptr;
  void* context = nullptr;

  void Set(Phase next) {
    // Either this sees a sleeper, or the sleeper sees the new phase: both sides write, then read.
    phase.store(next, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) != 0) phase.notify_all();
  }
  bool Change(Phase from, Phase to) {
    uint32_t expected = phase.load(std::memory_order_relaxed);  // leaves the line where it is
    return expected == from &&
           phase.compare_exchange_strong(expected, to, std::memory_order_acq_rel);
  }
  // Polls for a while.
  bool IsSoon(Phase wanted) const {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (phase.load(std::memory_order_acquire) == wanted) return true;
      Pause();
    }
    return false;
  }
  void Await(Phase wanted) {
    if (!IsSoon(wanted)) Sleep(wanted);
  }
  void Sleep(Phase wanted) {
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    for (uint32_t now = phase.load(std::memory_order_seq_cst); now != wanted;
         now = phase.load(std::memory_order_seq_cst)) {
      phase.wait(now, std::memory_order_seq_cst);
    }
    sleepers.fetch_sub(1, std::memory_order_seq_cst);
  }
};

int AtLeastOne(int threads) {
  QS_CHECK(threads >= 1);
  return threads;
}

// When a worker may not take part; the pool's side only.
struct Leave {
  bool is_out = false;
  Clock::duration length = kShortestLeave;
  Clock::time_point end;

  bool IsOver() {
    if (is_out && Clock::now() >= end) is_out = false;
    return !is_out;
  }
  void Begin() {
    const Clock::time_point now = Clock::now();
    const bool is_again = now - end < length;
    length = is_again ? std::min(2 * length, kLongestLeave) : kShortestLeave;
    end = now + length;
    is_out = true;
  }
};

}  // namespace

struct ThreadPool::State {
  struct Worker {
    Seat seat;
    Leave leave;
    std::thread thread;
  };

  explicit State(int count) : threads(count), workers(std::make_unique<Worker[]>(size())) {}
  ~State() {
    stopping.store(true, std::memory_order_release);
    for (size_t i = 0; i < size(); ++i) {
      if (!workers[i].thread.joinable()) continue;  // the system refused to start it
      workers[i].seat.Set(kOffered);
      workers[i].thread.join();
    }
  }
  size_t size() const { return static_cast<size_t>(threads) - 1; }

  void Work(int thread) {
    Seat& seat = workers[static_cast<size_t>(thread) - 1].seat;
    for (;;) {
      seat.Await(kOffered);
      if (!seat.Change(kOffered, kTaken)) continue;  // withdrawn
      // After the change: only then is what was read the present offer's.
      if (stopping.load(std::memory_order_acquire)) return;
      Call(seat.function, seat.context, thread);
      seat.Set(kIdle);
    }
  }

  // Runs one thread's part of a job. What it throws is kept for the caller if it is the first.
  void Call(Function function, void* context, int thread) noexcept {
    try {
      function(context, thread);
    } catch (...) {
      const std::lock_guard<std::mutex> alone(throwing);
      if (!thrown) thrown = std::current_exception();
    }
  }
  // Ends a job, on the caller's thread, when all workers have left it.
  void Rethrow() {
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
  }

  // Only while the worker is idle.
  static void Offer(Worker& worker, Function function, void* context) {
    worker.seat.function = function;
    worker.seat.context = context;
    worker.seat.Set(kOffered);
  }

  // Waits for a worker that may be at a job which began at `begin`.
  static void Finish(Worker& worker, uint64_t begin) {
    if (worker.seat.Change(kOffered, kIdle)) return;
    const uint64_t worked = Ticks() - begin;
    if (worker.seat.IsSoon(kIdle)) return;
    const Clock::time_point waiting = Clock::now();
    worker.seat.Sleep(kIdle);
    const bool is_long = Clock::now() - waiting > kStall;
    if (is_long && Ticks() - begin > 2 * worked) worker.leave.Begin();
  }

  std::mutex callers;  // one job at a time
  const int threads;
  std::unique_ptr<Worker[]> workers;  // [threads - 1]
  std::atomic<bool> stopping{false};
  std::mutex throwing;
  std::exception_ptr thrown;  // by the present job
};

ThreadPool::ThreadPool(int threads)
    : shares_(AtLeastOne(threads)), state_(std::make_unique<State>(threads)) {
  try {
    for (int thread = 1; thread < threads; ++thread) {
      state_->workers[static_cast<size_t>(thread) - 1].thread =
          std::thread([state = state_.get(), thread] { state->Work(thread); });
    }
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::kMemory, "cannot start " + std::to_string(threads) +
                                        " threads: " + error.code().message() +
                                        "; use fewer threads or raise the limits of this process");
  }
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return state_->threads; }

void ThreadPool::RunAll(Function function, void* context) {
  State& state = *state_;
  const std::lock_guard<std::mutex> alone(state.callers);
  for (size_t i = 0; i < state.size(); ++i) State::Offer(state.workers[i], function, context);
  state.Call(function, context, 0);
  for (size_t i = 0; i < state.size(); ++i) state.workers[i].seat.Await(kIdle);
  state.Rethrow();
}

void ThreadPool::RunTasks(int64_t tasks, int64_t most, Function function, void* context) {
  State& state = *state_;
  const std::lock_guard<std::mutex> alone(state.callers);
  shares_.Start(tasks, most);
  const uint64_t begin = Ticks();
  // Parts that nobody owns go to those who help themselves.
  const size_t needed =
      std::min(state.size(), static_cast<size_t>(std::max<int64_t>(tasks, 1)) - 1);
  for (size_t i = 0; i < needed; ++i) {
    if (state.workers[i].leave.IsOver()) State::Offer(state.workers[i], function, context);
  }
  state.Call(function, context, 0);
  for (size_t i = 0; i < needed; ++i) State::Finish(state.workers[i], begin);
  state.Rethrow();
}

}  // namespace quantspec
