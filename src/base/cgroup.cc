#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace quantspec {
namespace {

namespace fs = std::filesystem;

// The number that `path` begins with; `otherwise` for words ("max") and files that are not there.
double ReadNumber(const fs::path& path, double otherwise) {
  std::ifstream file(path);
  double value = 0;
  return file >> value ? value : otherwise;
}

// File cache that gives way, from a memory.stat; `prefix` is "total_" in version 1, where plain
// names leave groups further down out.
double ReadFileCache(const fs::path& path, const std::string& prefix) {
  std::ifstream file(path);
  std::string name;
  double value = 0, sum = 0;
  while (file >> name >> value) {
    if (name == prefix + "inactive_file" || name == prefix + "active_file") sum += value;
  }
  return sum;
}

// Names of one version's files.
struct MemoryFiles {
  const char* limit;
  const char* usage;
  const char* stat_prefix;
};
constexpr MemoryFiles kMemoryFiles1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_"};
constexpr MemoryFiles kMemoryFiles2 = {"memory.max", "memory.current", ""};
// Version 1 says "no limit" by the largest number of pages.
constexpr double kNoMemoryLimit = 0x1p62;

void ApplyMemory(const fs::path& group, const MemoryFiles& files, CgroupLimits& limits) {
  const double limit = ReadNumber(group / files.limit, kNoMemoryLimit);
  if (limit >= kNoMemoryLimit) return;
  const double used =
      ReadNumber(group / files.usage, 0) - ReadFileCache(group / "memory.stat", files.stat_prefix);
  const double left = std::max(0.0, limit - std::max(0.0, used));
  limits.memory_left = std::min(limits.memory_left, static_cast<uint64_t>(left));
}

void ApplyQuota(double quota, double period, CgroupLimits& limits) {
  if (quota > 0 && period > 0) limits.cpus = std::min(limits.cpus, quota / period);
}

void ApplyCpu1(const fs::path& group, CgroupLimits& limits) {
  ApplyQuota(ReadNumber(group / "cpu.cfs_quota_us", -1), ReadNumber(group / "cpu.cfs_period_us", 0),
             limits);
}

void ApplyCpu2(const fs::path& group, CgroupLimits& limits) {
  std::ifstream file(group / "cpu.max");
  double quota = 0, period = 0;
  if (file >> quota >> period) ApplyQuota(quota, period, limits);
}

// Calls each(folder) for the group at `path` under `mount` and for all above it. A container may
// see its group's full path but only its own part of the tree: what is missing is skipped.
template <typename Each>
void ForGroupAndAbove(const fs::path& mount, const fs::path& path, const Each& each) {
  fs::path group = mount;
  each(group);
  for (const fs::path& part : path.relative_path()) {
    group /= part;
    each(group);
  }
}

bool Names(const std::string& controllers, const std::string& wanted) {
  std::stringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == wanted) return true;
  }
  return false;
}

}  // namespace

CgroupLimits ReadCgroupLimits(const std::filesystem::path& root) {
  CgroupLimits limits;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  // Lines "id:controllers:path"; version 2 has one, without controllers.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    if (controllers.empty()) {
      for (const fs::path& mount : {mounts, mounts / "unified"}) {
        ForGroupAndAbove(mount, path, [&](const fs::path& group) {
          ApplyCpu2(group, limits);
          ApplyMemory(group, kMemoryFiles2, limits);
        });
      }
    }
    if (Names(controllers, "cpu")) {
      for (const fs::path& mount : {mounts / "cpu", mounts / controllers}) {
        ForGroupAndAbove(mount, path, [&](const fs::path& group) { ApplyCpu1(group, limits); });
      }
    }
    if (Names(controllers, "memory")) {
      ForGroupAndAbove(mounts / "memory", path,
                       [&](const fs::path& group) { ApplyMemory(group, kMemoryFiles1, limits); });
    }
  }
  return limits;
}

}  // namespace quantspec
