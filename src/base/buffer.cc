#include "base/buffer.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <string>
#include <utility>

#include "base/cgroup.h"
#include "base/view.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kHugeFrom = 2 * kHugePage;

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const size_t alignment = bytes >= kHugeFrom ? kHugePage : 64;
  const size_t padded = static_cast<size_t>(RoundUp(static_cast<int64_t>(bytes), 64));
  void* memory = nullptr;
  if (padded < bytes || posix_memalign(&memory, alignment, padded) != 0) {
    throw Error(ErrorKind::kMemory, "cannot allocate " + std::to_string(bytes) +
                                        " bytes: not enough memory; use a smaller --context");
  }
  if (alignment == kHugePage) madvise(memory, padded, MADV_HUGEPAGE);
  std::memset(memory, 0, padded);
  data_ = static_cast<std::byte*>(memory);
}

Buffer::~Buffer() { std::free(data_); }

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

uint64_t AvailableMemoryBytes() {
  uint64_t available = UINT64_MAX;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    if (line.rfind("MemAvailable:", 0) == 0) {
      available = std::strtoull(line.c_str() + 13, nullptr, 10) * 1024;
      break;
    }
  }
  return std::min(available, ReadCgroupLimits().memory_left);
}

uint64_t PeakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace quantspec
