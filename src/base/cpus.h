// The CPUs that this process may use.
#pragma once

#include <sched.h>

#include <filesystem>
#include <vector>

namespace quantspec {

// Threads that the process can really use: physical cores within its affinity and its cgroup's
// quota, of which half a CPU does not make a thread (docs/decisions/0010-late-workers.md).
int DefaultThreads();

// The numbers of the CPUs in the process's affinity, ascending; empty if the system does not say.
// `read_affinity` is for tests: it behaves as the system's call, which refuses a set that is
// smaller than its own with EINVAL.
using ReadAffinity = int (*)(pid_t process, size_t bytes, cpu_set_t* set);
std::vector<int> AllowedCpus(ReadAffinity read_affinity = sched_getaffinity);

// Physical cores among `cpus`: hyper-threads of one core count once, and a CPU whose core is not
// known below <root>/sys/devices/system/cpu counts as a core. `root` is for tests.
int CountCores(const std::vector<int>& cpus, const std::filesystem::path& root = "/");

}  // namespace quantspec
