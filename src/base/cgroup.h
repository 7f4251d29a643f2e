// What the control groups that this process lives in leave to it: the limits of containers, of
// systemd units, of job schedulers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>

namespace quantspec {

struct CgroupLimits {
  // CPUs' worth of time that the quota pays for; infinity where there is none.
  double cpus = std::numeric_limits<double>::infinity();
  // Bytes under the memory limit that are not in use, file cache not counted as use, since it gives
  // way; UINT64_MAX where there is no limit.
  uint64_t memory_left = UINT64_MAX;
};

// The tightest limits of the process's own groups and of all groups above them, versions 1 and 2
// alike, as far as they are mounted below <root>/sys/fs/cgroup. Whatever cannot be read does not
// limit. `root` is for tests.
CgroupLimits ReadCgroupLimits(const std::filesystem::path& root = "/");

}  // namespace quantspec
