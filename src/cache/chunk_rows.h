// What stored chunks keep of the layers with a window: their 16-bit rows, in blocks of one chunk
// over all such layers, taken once.
#pragma once

#include <span>
#include <vector>

#include "kernels/backend.h"

namespace quantspec {

struct ChunkRowsSpec {
  KvGeometry geometry;
  int layers = 0;  // with a window
  int blocks = 0;
};

class ChunkRows {
 public:
  static uint64_t Bytes(const ChunkRowsSpec& spec, const Backend& backend);
  // Throws Error{kMemory}.
  ChunkRows(const ChunkRowsSpec& spec, const Backend& backend);

  int blocks() const { return spec_.blocks; }
  // A block that is free; -1 if none is.
  int Take();
  void Release(int block);
  // One segment of kChunkTokens rows a layer.
  std::span<const DenseSegment> Block(int block) const;

 private:
  ChunkRowsSpec spec_;
  DeviceMemory memory_;
  std::vector<DenseSegment> segments_;  // [blocks][layers]
  std::vector<int> free_;
};

}  // namespace quantspec
