// Memory that a backend hands out.
#pragma once

#include <cstddef>
#include <utility>

namespace quantspec {

// Memory of a backend's device: zeroed, aligned to 64 bytes. Only operations of the backend touch
// its bytes. Outlives the backend object.
class DeviceMemory {
 public:
  using Free = void (*)(std::byte* data, size_t bytes);
  DeviceMemory() = default;
  DeviceMemory(std::byte* data, size_t bytes, Free free)
      : data_(data), bytes_(bytes), free_(free) {}
  ~DeviceMemory() {
    if (data_ != nullptr) free_(data_, bytes_);
  }
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(free_, other.free_);
    return *this;
  }
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  Free free_ = nullptr;
};

}  // namespace quantspec
