#include "kernels/host_backend.h"

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

ConstRows HostBackend::OnHost(ConstRows rows, float* /*staging*/) const { return rows; }

}  // namespace quantspec
