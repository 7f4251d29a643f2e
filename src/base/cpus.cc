#include "base/cpus.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/cgroup.h"

namespace quantspec {
namespace {

// Far above any machine, so that a system that never accepts a size ends the search.
constexpr int kMostCpus = 1 << 20;

struct FreeCpuSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

}  // namespace

std::vector<int> AllowedCpus(ReadAffinity read_affinity) {
  std::vector<int> cpus;
  for (int count = CPU_SETSIZE; count <= kMostCpus; count *= 2) {
    const std::unique_ptr<cpu_set_t, FreeCpuSet> set(CPU_ALLOC(static_cast<size_t>(count)));
    if (!set) break;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(count));
    CPU_ZERO_S(bytes, set.get());
    if (read_affinity(0, bytes, set.get()) == 0) {
      for (int cpu = 0; cpu < count; ++cpu) {
        if (CPU_ISSET_S(static_cast<size_t>(cpu), bytes, set.get())) cpus.push_back(cpu);
      }
      break;
    }
    if (errno != EINVAL) break;
  }
  return cpus;
}

int CountCores(const std::vector<int>& cpus, const std::filesystem::path& root) {
  std::set<std::pair<int, int>> cores;  // (package, core)
  int unknown = 0;
  for (const int cpu : cpus) {
    const std::filesystem::path topology =
        root / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) / "topology";
    int package = 0, core = 0;
    std::ifstream(topology / "physical_package_id") >> package;
    if (std::ifstream(topology / "core_id") >> core) {
      cores.emplace(package, core);
    } else {
      ++unknown;
    }
  }
  return static_cast<int>(cores.size()) + unknown;
}

int DefaultThreads() {
  const int count = std::max(1, CountCores(AllowedCpus()));
  const double quota = std::floor(ReadCgroupLimits().cpus + 0.25);
  return quota < count ? std::max(1, static_cast<int>(quota)) : count;
}

}  // namespace quantspec
