// Device memory where the device is the host: what the backends on the CPU share.
#pragma once

#include <cstddef>

#include "kernels/backend.h"

namespace quantspec {

class HostBackend : public Backend {
 public:
  DeviceMemory Allocate(size_t bytes) const override;
  void Upload(const void* host, size_t bytes, void* device) const override;
  void Download(const void* device, size_t bytes, void* host) const override;
  bool MemoryIsHost() const override { return true; }
  ConstRows OnHost(ConstRows rows, float* staging) const override;
  void Synchronize() const override {}

 private:
  void DoCopy(ConstRows from, Rows to) noexcept override;
};

}  // namespace quantspec
