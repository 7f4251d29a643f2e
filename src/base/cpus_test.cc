#include "base/cpus.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <string>

namespace quantspec {
namespace {

// A system with 5,000 possible CPUs, of which the process may use a few.
int ReadLargeAffinity(pid_t, size_t bytes, cpu_set_t* set) {
  constexpr size_t kPossible = 5000;
  if (bytes * 8 < kPossible) {
    errno = EINVAL;
    return -1;
  }
  for (const size_t cpu : {size_t{0}, size_t{1023}, size_t{1024}, size_t{4999}}) {
    CPU_SET_S(cpu, bytes, set);
  }
  return 0;
}

int RefuseEverySize(pid_t, size_t, cpu_set_t*) {
  errno = EINVAL;
  return -1;
}

int RefusePermission(pid_t, size_t, cpu_set_t*) {
  errno = EPERM;
  return -1;
}

TEST(Cpus, MoreThanACpuSetHoldsAreFound) {
  EXPECT_EQ(AllowedCpus(ReadLargeAffinity), (std::vector<int>{0, 1023, 1024, 4999}));
}

TEST(Cpus, ASystemThatDoesNotSayGivesNone) {
  EXPECT_TRUE(AllowedCpus(RefuseEverySize).empty());
  EXPECT_TRUE(AllowedCpus(RefusePermission).empty());
}

TEST(Cpus, HyperThreadsOfACoreCountOnce) {
  namespace fs = std::filesystem;
  const fs::path root = fs::path(testing::TempDir()) / "quantspec_cpus_test";
  const auto add = [&](int cpu, int package, int core) {
    const fs::path folder =
        root / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) / "topology";
    fs::create_directories(folder);
    std::ofstream(folder / "physical_package_id") << package << '\n';
    std::ofstream(folder / "core_id") << core << '\n';
  };
  // Two packages of two cores of two threads each; core numbers repeat in every package.
  for (int cpu = 0; cpu < 8; ++cpu) add(cpu, cpu / 2 % 2, cpu % 2);
  EXPECT_EQ(CountCores({0, 1, 2, 3, 4, 5, 6, 7}, root), 4);
  EXPECT_EQ(CountCores({0, 4}, root), 1);
  EXPECT_EQ(CountCores({0, 2}, root), 2);
  // CPUs whose topology is not known are cores of their own.
  EXPECT_EQ(CountCores({0, 4, 100, 101}, root), 3);
  EXPECT_EQ(CountCores({}, root), 0);
  fs::remove_all(root);
}

TEST(Cpus, ThereIsAtLeastOneThread) { EXPECT_GE(DefaultThreads(), 1); }

}  // namespace
}  // namespace quantspec
