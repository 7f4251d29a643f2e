#include "cache/kv_cache.h"

#include <vector>

#include "cache/full_cache.h"
#include "cache/hierarchical_cache.h"

namespace quantspec {

KvCache::KvCache(const KvCacheSpec& spec, const Backend& backend)
    : spec_(spec), rings_(spec, backend) {
  int windowed = 0;
  for (int layer = 0; layer < spec.layers; ++layer) {
    places_.push_back(IsWindowed(layer) ? windowed++ : layer - windowed);
  }
}

void KvCache::Extend(int rows) {
  QS_CHECK(rows >= 0 && rows <= Room());
  length_ += rows;
  rings_.Extend(length_);
}

void KvCache::Truncate(int length) {
  QS_CHECK(length >= committed_ && length <= length_);
  length_ = length;
}

int32_t TakeSlot(const PoolAccess& access, int32_t after) {
  int32_t slot = access.pool->Take(after);
  while (slot < 0) {
    QS_CHECK(access.make_free != nullptr && access.make_free(access.context));
    slot = access.pool->Take(after);
  }
  return slot;
}

uint64_t KvCacheBytes(const KvCacheSpec& spec, const Backend& backend) {
  return WindowRings::Bytes(spec, backend) + (spec.kind == CacheKind::kFull
                                                  ? FullCache::Bytes(spec, backend)
                                                  : HierarchicalCache::Bytes(spec, backend));
}

int SlotsOf(const KvCacheSpec& spec) {
  return spec.kind == CacheKind::kFull ? 0 : spec.context / kKvGroup;
}

std::unique_ptr<KvCache> MakeKvCache(const KvCacheSpec& spec, const Backend& backend,
                                     const PoolAccess& access) {
  QS_CHECK(spec.layers > 0 && spec.context > 0);
  QS_CHECK(spec.windows.empty() || spec.windows.size() == static_cast<size_t>(spec.layers));
  if (spec.kind == CacheKind::kFull) return std::make_unique<FullCache>(spec, backend);
  return std::make_unique<HierarchicalCache>(spec, backend, access);
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
    backend.LoadKv(geometry, segment, segment.first_row + i, row.data(),
                   row.data() + row.size() / 2);
    digest.AddValues(std::span<const float>(row));
  }
}

uint64_t ViewBytes(const KvView& view, KvGeometry geometry, const Backend& backend) {
  const SealedBytes group = backend.SizeOf(geometry, 1);
  uint64_t bytes = 0;
  for (int i = 0; i < view.run_count; ++i) {
    const GroupRun& run = view.runs[i];
    bytes += static_cast<uint64_t>(run.count) *
             (group.upper + group.scales + (run.planes == Planes::kBoth ? group.lower : 0));
  }
  for (int i = 0; i < view.dense_count; ++i) {
    const DenseSegment& segment = view.dense[i];
    bytes += 2u * static_cast<uint64_t>(segment.rows) *
             (backend.DenseBytes(geometry, segment.type, kDenseRows) / kDenseRows);
  }
  return bytes;
}

}  // namespace quantspec
