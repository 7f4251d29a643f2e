// The owner of bulk memory: aligned, zero at first, never resized.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quantspec {

class Buffer {
 public:
  Buffer() = default;
  // `bytes` of zeros, aligned to 64 bytes (to 2 MiB, with huge pages asked for, from 4 MiB on).
  // The system supplies the pages of large buffers when they are first written, beside the CPU
  // that writes: so on machines of several memory nodes the threads that will read a part should
  // write it first. Throws Error{kMemory}.
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
  // Gives the memory up to the caller, who gives it back with Free.
  std::byte* Release();
  static void Free(std::byte* data, size_t bytes);

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Memory that the process may still take, in bytes: the least of what the system has available,
// what is left under the limits of the process's cgroups (file cache gives way in both), and what
// is left under its own limits of address space and data (RLIMIT_AS, RLIMIT_DATA).
uint64_t AvailableMemoryBytes();

}  // namespace quantspec
