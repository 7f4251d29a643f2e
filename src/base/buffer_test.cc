#include "base/buffer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

bool IsZero(const Buffer& buffer) {
  return std::all_of(buffer.data(), buffer.data() + buffer.bytes(),
                     [](std::byte value) { return value == std::byte{0}; });
}

TEST(Buffer, IsZeroAndAlignedAtEverySize) {
  for (const size_t bytes : {size_t{1}, size_t{63}, size_t{64}, size_t{4097}, size_t{65535},
                             size_t{65536}, 4 * kMiB - 1, 4 * kMiB, 4 * kMiB + 1, 9 * kMiB + 77}) {
    // Twice, so that memory which another buffer has filled comes round.
    for (int pass = 0; pass < 2; ++pass) {
      const Buffer buffer(bytes);
      EXPECT_EQ(buffer.bytes(), bytes);
      EXPECT_TRUE(IsZero(buffer)) << bytes;
      const size_t alignment = bytes >= 4 * kMiB ? 2 * kMiB : 64;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % alignment, 0u) << bytes;
      std::fill_n(buffer.data(), buffer.bytes(), std::byte{0xAB});
    }
  }
}

// Pages that nobody has written are on no memory node yet.
TEST(Buffer, LargeOnesTakePagesOnlyWhenTheyAreWritten) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const Buffer buffer(8 * kMiB);
  const auto resident = [&] {
    std::vector<unsigned char> pages(buffer.bytes() / page);
    EXPECT_EQ(mincore(buffer.data(), buffer.bytes(), pages.data()), 0);
    return std::count_if(pages.begin(), pages.end(),
                         [](unsigned char is) { return (is & 1) != 0; });
  };
  EXPECT_EQ(resident(), 0);
  buffer.data()[5 * kMiB] = std::byte{1};
  EXPECT_GE(resident(), 1);
  EXPECT_LE(resident(), static_cast<int64_t>(2 * kMiB / page));
}

TEST(Buffer, MovesAndGivesItsMemoryBack) {
  const auto mapped_bytes = [] {
    std::ifstream statm("/proc/self/statm");
    size_t pages = 0;
    statm >> pages;
    return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  };
  const size_t before = mapped_bytes();
  for (int i = 0; i < 50; ++i) {
    Buffer first(64 * kMiB + 64), second(100);
    std::byte* const data = first.data();
    second = std::move(first);
    EXPECT_EQ(second.data(), data);
    const Buffer third(std::move(second));
    EXPECT_EQ(third.bytes(), 64 * kMiB + 64);
    EXPECT_EQ(second.data(), nullptr);  // NOLINT: what a moved-from buffer promises
  }
  EXPECT_LT(mapped_bytes(), before + 64 * kMiB);
}

TEST(Buffer, WhatDoesNotFitIsAnErrorThatSaysHowMuch) {
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 63, size_t{1} << 62}) {
    try {
      const Buffer buffer(bytes);
      ADD_FAILURE() << bytes;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kMemory);
      EXPECT_NE(std::string(error.what()).find(std::to_string(bytes)), std::string::npos);
    }
  }
}

// Sets the limit to what is in use and `more` bytes while it lives.
class Limit {
 public:
  Limit(decltype(RLIMIT_AS) resource, const std::string& used, uint64_t more)
      : resource_(resource) {
    getrlimit(resource, &before_);
    rlimit limit = before_;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind(used, 0) == 0) limit.rlim_cur = std::stoull(line.substr(used.size())) * 1024;
    }
    limit.rlim_cur += more;
    setrlimit(resource, &limit);
  }
  ~Limit() { setrlimit(resource_, &before_); }

 private:
  decltype(RLIMIT_AS) resource_;
  rlimit before_{};
};

TEST(AvailableMemory, LimitsOfTheProcessCount) {
  const uint64_t all = AvailableMemoryBytes();
  EXPECT_GT(all, 100 * kMiB);
  {
    const Limit limit(RLIMIT_AS, "VmSize:", 50 * kMiB);
    EXPECT_LE(AvailableMemoryBytes(), 50 * kMiB);
    EXPECT_GT(AvailableMemoryBytes(), 40 * kMiB);
  }
  {
    const Limit limit(RLIMIT_DATA, "VmData:", 30 * kMiB);
    EXPECT_LE(AvailableMemoryBytes(), 30 * kMiB);
    EXPECT_GT(AvailableMemoryBytes(), 20 * kMiB);
  }
  EXPECT_GT(AvailableMemoryBytes(), 100 * kMiB);
}

}  // namespace
}  // namespace quantspec
