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

// CPUs the cgroup's quota pays for, rounded up; `otherwise` where there is no quota.
int QuotaCpus(int otherwise) {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return otherwise;
  return std::max(1, static_cast<int>(std::ceil(std::stod(quota) / period)));
}

}  // namespace

int DefaultThreads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  std::set<std::pair<int, int>> cores;  // (package, core): hyper-threads of one core count once
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string topology =
        "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    int package = 0, core = cpu;
    std::ifstream(topology + "physical_package_id") >> package;
    std::ifstream(topology + "core_id") >> core;
    cores.emplace(package, core);
  }
  const int count = std::max(1, static_cast<int>(cores.size()));
  return std::min(count, QuotaCpus(count));
}

struct ThreadPool::State {
  std::mutex callers;  // one job at a time
  std::vector<std::thread> workers;
  int threads = 1;
  Function function = nullptr;
  void* context = nullptr;
  alignas(64) std::atomic<uint32_t> generation{0};  // one more for every job
  alignas(64) std::atomic<int> running{0};
  std::atomic<bool> stopping{false};

  void Work(int thread) {
    uint32_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation.load(std::memory_order_acquire) == seen;
           ++spin) {
        Pause();
      }
      generation.wait(seen, std::memory_order_acquire);
      seen = generation.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_acquire)) return;
      function(context, thread);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) running.notify_one();
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
  state_->generation.fetch_add(1, std::memory_order_release);
  state_->generation.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const { return state_->threads; }

void ThreadPool::Run(Function function, void* context) {
  State& state = *state_;
  const std::lock_guard<std::mutex> alone(state.callers);
  if (state.threads > 1) {
    state.function = function;
    state.context = context;
    state.running.store(state.threads - 1, std::memory_order_release);
    state.generation.fetch_add(1, std::memory_order_release);
    state.generation.notify_all();
  }
  function(context, 0);
  if (state.threads == 1) return;
  for (int spin = 0; spin < kSpins; ++spin) {
    if (state.running.load(std::memory_order_acquire) == 0) return;
    Pause();
  }
  for (int left = state.running.load(std::memory_order_acquire); left != 0;
       left = state.running.load(std::memory_order_acquire)) {
    state.running.wait(left, std::memory_order_acquire);
  }
}

}  // namespace quantspec
