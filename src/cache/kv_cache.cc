#include "cache/kv_cache.h"

#include "cache/full_cache.h"
#include "cache/hierarchical_cache.h"

namespace quantspec {

uint64_t KvCacheBytes(const KvCacheSpec& spec, const Backend& backend) {
  return spec.kind == CacheKind::kFull ? FullCache::Bytes(spec, backend)
                                       : HierarchicalCache::Bytes(spec, backend);
}

std::unique_ptr<KvCache> MakeKvCache(const KvCacheSpec& spec, const Backend& backend) {
  QS_CHECK(spec.layers > 0 && spec.context > 0);
  if (spec.kind == CacheKind::kFull) return std::make_unique<FullCache>(spec, backend);
  return std::make_unique<HierarchicalCache>(spec, backend);
}

DenseSegment CarveDense(std::byte*& memory, const KvCacheSpec& spec, const Backend& backend,
                        int64_t capacity) {
  const size_t bytes = backend.DenseBytes(spec.geometry, spec.dense_type, capacity);
  DenseSegment segment;
  segment.type = spec.dense_type;
  segment.keys = memory;
  segment.values = memory + bytes;
  segment.capacity = capacity;
  memory += 2 * bytes;
  return segment;
}

void AddRows(Digest& digest, const Backend& backend, KvGeometry geometry,
             const DenseSegment& segment) {
  std::vector<float> row(2 * static_cast<size_t>(geometry.kv_heads * geometry.head_dim));
  for (int64_t i = 0; i < segment.rows; ++i) {
    backend.LoadKv(geometry, segment, i, row.data(), row.data() + row.size() / 2);
    digest.AddValues(std::span<const float>(row));
  }
}

uint64_t DenseRowBytes(KvGeometry geometry, KvType type) {
  return 2u * static_cast<uint64_t>(geometry.kv_heads * geometry.head_dim) *
         (type == KvType::kF16 ? 2u : 4u);
}

}  // namespace quantspec
