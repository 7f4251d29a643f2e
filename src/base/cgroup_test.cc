#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

namespace quantspec {
namespace {

namespace fs = std::filesystem;

class Cgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ =
        fs::path(::testing::TempDir()) /
        ("cgroup_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  void ExpectNoLimits() const {
    const CgroupLimits limits = ReadCgroupLimits(root_);
    EXPECT_TRUE(std::isinf(limits.cpus));
    EXPECT_EQ(limits.memory_left, UINT64_MAX);
  }

  fs::path root_;
};

TEST_F(Cgroup, NothingMountedLimitsNothing) { ExpectNoLimits(); }

TEST_F(Cgroup, ContainerOfVersion2SeesItsOwnGroupAsTheRoot) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  Write("sys/fs/cgroup/memory.max", "1000000\n");
  Write("sys/fs/cgroup/memory.current", "700000\n");
  Write("sys/fs/cgroup/memory.stat",
        "anon 300000\nfile 400000\ninactive_file 250000\nactive_file 50000\nshmem 100000\n");
  const CgroupLimits limits = ReadCgroupLimits(root_);
  EXPECT_DOUBLE_EQ(limits.cpus, 1.5);
  EXPECT_EQ(limits.memory_left, 600000u);  // 300,000 of the 700,000 are file cache
}

TEST_F(Cgroup, TightestLimitOfAllGroupsAboveCounts) {
  Write("proc/self/cgroup", "0::/user.slice/job.scope\n");
  Write("sys/fs/cgroup/user.slice/cpu.max", "200000 100000\n");
  Write("sys/fs/cgroup/user.slice/memory.max", "5000\n");
  Write("sys/fs/cgroup/user.slice/memory.current", "1000\n");
  Write("sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n");
  Write("sys/fs/cgroup/user.slice/job.scope/memory.max", "max\n");
  const CgroupLimits limits = ReadCgroupLimits(root_);
  EXPECT_DOUBLE_EQ(limits.cpus, 2.0);
  EXPECT_EQ(limits.memory_left, 4000u);
}

TEST_F(Cgroup, Version1) {
  Write("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n");
  // A container has its group mounted as the root of each controller.
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "8000\n");
  Write("sys/fs/cgroup/memory/memory.usage_in_bytes", "9000\n");
  Write("sys/fs/cgroup/memory/memory.stat", "active_file 1\ntotal_active_file 500\n");
  const CgroupLimits limits = ReadCgroupLimits(root_);
  EXPECT_DOUBLE_EQ(limits.cpus, 0.5);
  EXPECT_EQ(limits.memory_left, 0u);  // over the limit
}

TEST_F(Cgroup, Version1WithoutLimits) {
  Write("proc/self/cgroup", "4:memory:/\n1:cpu:/\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  ExpectNoLimits();
}

TEST_F(Cgroup, NonsenseLimitsNothing) {
  Write("proc/self/cgroup", "nonsense\n::\n0::/../..\n7:cpu:x\n");
  Write("sys/fs/cgroup/cpu.max", "0 0\n");
  Write("sys/fs/cgroup/memory.max", "lots\n");
  ExpectNoLimits();
}

}  // namespace
}  // namespace quantspec
