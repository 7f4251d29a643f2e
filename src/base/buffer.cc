#include "base/buffer.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "base/cgroup.h"
#include "base/view.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kHugeFrom = 2 * kHugePage;
// Smaller buffers come from the heap: a mapping takes whole pages and two calls of the system.
constexpr size_t kMapFrom = size_t{64} << 10;

size_t Padded(size_t bytes) {
  return static_cast<size_t>(RoundUp(static_cast<int64_t>(bytes), 64));
}

// `bytes` of zeros in a mapping of their own, aligned to 2 MiB if they are many; null if the
// system refuses.
void* MapZeros(size_t bytes) {
  const size_t spare = bytes >= kHugeFrom ? kHugePage : 0;
  void* memory =
      mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (spare == 0) return memory;
  // What lies before and behind the aligned part goes back.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t aligned = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t end = (aligned + bytes + page - 1) / page * page;
  if (aligned > begin) munmap(memory, aligned - begin);
  if (begin + bytes + spare > end) {
    munmap(reinterpret_cast<void*>(end), begin + bytes + spare - end);
  }
  memory = reinterpret_cast<void*>(aligned);
  madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

void* TakeZeros(size_t bytes) {
  if (bytes >= kMapFrom) return MapZeros(bytes);
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, bytes) != 0) return nullptr;
  return std::memset(memory, 0, bytes);
}

// The value of `name` ("VmSize:") in /proc/self/status, in bytes; 0 if the system does not say.
uint64_t ReadStatus(const char* name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name, 0) == 0) {
      return std::strtoull(line.c_str() + std::strlen(name), nullptr, 10) * 1024;
    }
  }
  return 0;
}

// What `resource` leaves to a process that has taken `used` bytes of it.
uint64_t LeftUnderLimit(decltype(RLIMIT_AS) resource, const char* used) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur - std::min<uint64_t>(limit.rlim_cur, ReadStatus(used));
}

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const size_t padded = Padded(bytes);
  void* memory = bytes <= PTRDIFF_MAX - kHugeFrom ? TakeZeros(padded) : nullptr;
  if (memory == nullptr) {
    throw Error(ErrorKind::kMemory,
                "cannot allocate " + std::to_string(bytes) + " bytes: not enough memory");
  }
  data_ = static_cast<std::byte*>(memory);
}

Buffer::~Buffer() { Free(data_, bytes_); }

void Buffer::Free(std::byte* data, size_t bytes) {
  if (data == nullptr) return;
  const size_t padded = Padded(bytes);
  if (padded >= kMapFrom) {
    munmap(data, padded);
  } else {
    std::free(data);
  }
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::byte* Buffer::Release() {
  bytes_ = 0;
  return std::exchange(data_, nullptr);
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
  return std::min({available, ReadCgroupLimits().memory_left, LeftUnderLimit(RLIMIT_AS, "VmSize:"),
                   LeftUnderLimit(RLIMIT_DATA, "VmData:")});
}

}  // namespace quantspec
