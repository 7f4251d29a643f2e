#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/cgroup.h"
#include "base/check.h"

namespace quantspec {
namespace {

// About 20 microseconds of polling: longer than the gaps between the operations of one step, short
// enough that an idle engine costs nothing.
constexpr int kSpins = 4000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// A number to wait for: a while by polling, then asleep. Set and Add call the system only if
// someone sleeps: std::atomic's notify calls it every time, which took 3 % of a step with its 150
// joins.
class Signal {
 public:
  uint32_t Load() const { return value_.load(std::memory_order_acquire); }
  void Set(uint32_t value) { value_.store(value, std::memory_order_release); }
  // Returns the new value. Wakes sleepers.
  uint32_t Add(uint32_t difference) {
    // Either this sees a sleeper, or the sleeper sees the new value: both sides write, then read.
    const uint32_t now = value_.fetch_add(difference, std::memory_order_seq_cst) + difference;
    if (sleepers_.load(std::memory_order_seq_cst) != 0) value_.notify_all();
    return now;
  }
  // Returns once the value is not `old`.
  void WaitWhile(uint32_t old) {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (Load() != old) return;
      Pause();
    }
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    while (value_.load(std::memory_order_seq_cst) == old) {
      value_.wait(old, std::memory_order_seq_cst);
    }
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  }

 private:
  std::atomic<uint32_t> value_{0};
  std::atomic<uint32_t> sleepers_{0};
};

}  // namespace

int DefaultThreads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  std::set<std::pair<int, int>> cores;  // (package, core): hyper-threads of one core count once
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    int package = 0, core = cpu;
    std::ifstream(topology + "physical_package_id") >> package;
    std::ifstream(topology + "core_id") >> core;
    cores.emplace(package, core);
  }
  const int count = std::max(1, static_cast<int>(cores.size()));
  const double quota = std::ceil(ReadCgroupLimits().cpus);
  return quota < count ? std::max(1, static_cast<int>(quota)) : count;
}

struct ThreadPool::State {
  std::mutex callers;  // one job at a time
  std::vector<std::thread> workers;
  int threads = 1;
  // One cache line tells a worker all there is to know about a job.
  alignas(64) Signal generation;  // one more for every job
  Function function = nullptr;
  void* context = nullptr;
  std::atomic<bool> stopping{false};
  alignas(64) Signal running;  // workers that are not done

  void Work(int thread) {
    for (uint32_t seen = 0;; ++seen) {
      generation.WaitWhile(seen);
      if (stopping.load(std::memory_order_acquire)) return;
      function(context, thread);
      running.Add(~uint32_t{0});
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  QS_CHECK(threads >= 1);
  state_->threads = threads;
  for (int thread = 1; thread < threads; ++thread) {
    state_->workers.emplace_back([state = state_.get(), thread] { state->Work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  state_->stopping.store(true, std::memory_order_release);
  state_->generation.Add(1);
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const { return state_->threads; }

void ThreadPool::Run(Function function, void* context) {
  State& state = *state_;
  const std::lock_guard<std::mutex> alone(state.callers);
  if (state.threads > 1) {
    state.function = function;
    state.context = context;
    state.running.Set(static_cast<uint32_t>(state.threads) - 1);
    state.generation.Add(1);
  }
  function(context, 0);
  if (state.threads == 1) return;
  while (const uint32_t left = state.running.Load()) state.running.WaitWhile(left);
}

}  // namespace quantspec
