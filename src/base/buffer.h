// The owner of bulk memory: page- or cache-line-aligned, zeroed, never resized.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace quantspec {

class Buffer {
 public:
  Buffer() = default;
  // `bytes` of zeroed memory, aligned to 64 bytes (to 2 MiB, with huge pages asked for, from
  // 4 MiB on). Throws Error{kMemory}.
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  template <typename T>
  T* As() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Memory that the process may still take, in bytes: the smaller of what the system has available
// and what is left under the limits of the process's cgroups; file cache gives way in both.
uint64_t AvailableMemoryBytes();
// Highest resident set of this process so far, in bytes.
uint64_t PeakResidentBytes();

}  // namespace quantspec
