#include "cache/chunk_rows.h"

#include "base/check.h"
#include "cache/kv_cache.h"

namespace quantspec {

uint64_t ChunkRows::Bytes(const ChunkRowsSpec& spec, const Backend& backend) {
  return static_cast<uint64_t>(spec.blocks) * static_cast<uint64_t>(spec.layers) * 2 *
         backend.DenseBytes(spec.geometry, KvType::kF16, kChunkTokens);
}

ChunkRows::ChunkRows(const ChunkRowsSpec& spec, const Backend& backend)
    : spec_(spec), memory_(backend.Allocate(Bytes(spec, backend))) {
  KvCacheSpec dense;
  dense.geometry = spec.geometry;
  std::byte* next = memory_.data();
  for (int i = 0; i < spec.blocks * spec.layers; ++i) {
    segments_.push_back(CarveDense(next, dense, backend, kChunkTokens));
    segments_.back().rows = kChunkTokens;
  }
  for (int block = spec.blocks; block-- > 0;) free_.push_back(block);
}

int ChunkRows::Take() {
  if (free_.empty()) return -1;
  const int block = free_.back();
  free_.pop_back();
  return block;
}

void ChunkRows::Release(int block) {
  QS_CHECK(block >= 0 && block < spec_.blocks);
  free_.push_back(block);
}

std::span<const DenseSegment> ChunkRows::Block(int block) const {
  const auto layers = static_cast<size_t>(spec_.layers);
  return std::span<const DenseSegment>(segments_).subspan(static_cast<size_t>(block) * layers,
                                                          layers);
}

}  // namespace quantspec
