#include "cache/row_policy.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/check.h"

namespace quantspec {
namespace {

uint64_t PositionBytes(const DraftPolicySpec& spec, int64_t capacity) {
  return static_cast<uint64_t>(
      RoundUp(spec.geometry.kv_heads * capacity * int64_t{sizeof(int32_t)}, 64));
}

}  // namespace

uint64_t RowPolicy::GatheredBytes(const DraftPolicySpec& spec, const Backend& backend,
                                  int64_t capacity) {
  return static_cast<uint64_t>(spec.layers) * 2 *
             backend.DenseBytes(spec.geometry, spec.dense_type, capacity) +
         PositionBytes(spec, capacity);
}

RowPolicy::RowPolicy(const DraftPolicySpec& spec, const Backend& backend, int64_t capacity,
                     uint64_t bytes)
    : spec_(spec), memory_(backend.Allocate(bytes)) {
  std::byte* next = memory_.data();
  const size_t side = backend.DenseBytes(spec.geometry, spec.dense_type, capacity);
  for (int layer = 0; layer < spec.layers; ++layer) {
    DenseSegment segment;
    segment.type = spec.dense_type;
    segment.keys = next;
    segment.values = next + side;
    segment.capacity = capacity;
    gathered_.push_back(segment);
    next += 2 * side;
  }
  positions_ = reinterpret_cast<int32_t*>(next);
  extra_memory_ = next + PositionBytes(spec, capacity);
}

void RowPolicy::Gather(Backend& backend, int layer, const KvView& from, int64_t count,
                       int64_t to_row) {
  const DenseSegment& to = gathered_[static_cast<size_t>(layer)];
  backend.GatherKv(spec_.geometry, from, positions_, count, to, to_row);
}

void RowPolicy::GatherRange(Backend& backend, int layer, const KvView& from, int64_t begin,
                            int64_t end, int64_t to_row) {
  if (begin >= end) return;
  const int64_t count = end - begin;
  std::array<int32_t, kWeighRows> of_head;
  QS_CHECK(count <= kWeighRows);
  std::iota(of_head.begin(), of_head.end(), static_cast<int32_t>(begin));
  for (int head = 0; head < spec_.geometry.kv_heads; ++head) {
    backend.Upload(of_head.data(), static_cast<size_t>(count) * sizeof(int32_t),
                   positions_ + head * count);
  }
  Gather(backend, layer, from, count, to_row);
}

KvView RowPolicy::View(int layer, const KvView& target) const {
  const Kept kept = KeptOf(target);
  if (kept.direct == 0) return target;
  KvView view;
  view.sealed = target.sealed;
  const int64_t groups = target.Groups();
  const int64_t first_group = std::min(kept.direct / kKvGroup, groups);
  if (groups > first_group) {
    view.runs[view.run_count++] = {target.runs[0].slots + first_group, groups - first_group,
                                   /*by_head=*/false, Planes::kBoth};
  }
  if (kept.rows > 0) {
    DenseSegment& segment = view.dense[view.dense_count++];
    segment = gathered_[static_cast<size_t>(layer)];
    segment.rows = kept.rows;
  }
  for (int i = 0; i < target.dense_count; ++i) {
    DenseSegment segment = target.dense[i];
    const int64_t skipped = std::max<int64_t>(kept.direct - segment.first_position, 0);
    if (skipped >= segment.rows) continue;
    segment.first_row += skipped;
    segment.first_position += skipped;
    segment.rows -= skipped;
    view.dense[view.dense_count++] = segment;
  }
  return view;
}

}  // namespace quantspec
