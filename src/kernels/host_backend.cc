#include "kernels/host_backend.h"

#include <algorithm>
#include <cstring>

#include "base/buffer.h"

namespace quantspec {

DeviceMemory HostBackend::Allocate(size_t bytes) const {
  Buffer memory(bytes);
  return {memory.Release(), bytes, Buffer::Free};
}

void HostBackend::Upload(const void* host, size_t bytes, void* device) const {
  if (bytes > 0) std::memcpy(device, host, bytes);
}

void HostBackend::Download(const void* device, size_t bytes, void* host) const {
  if (bytes > 0) std::memcpy(host, device, bytes);
}

void HostBackend::DoCopy(ConstRows from, Rows to) noexcept {
  for (int64_t row = 0; row < from.rows; ++row) {
    std::copy_n(from.Row(row), from.columns, to.Row(row));
  }
}

ConstRows HostBackend::OnHost(ConstRows rows, float* /*staging*/) const { return rows; }

}  // namespace quantspec
