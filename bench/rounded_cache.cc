#include "bench/rounded_cache.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace quantspec {
namespace {

// Of one head's rows [kKvGroup][width], beginning at channel `first`.
void RoundHead(float* rows, int width, int first, int head_dim, QuantAxis axis, int bits) {
  if (axis == QuantAxis::kToken) {
    for (int t = 0; t < kKvGroup; ++t) RoundToLevels(rows + t * width + first, head_dim, 1, bits);
  } else {
    for (int c = first; c < first + head_dim; ++c) RoundToLevels(rows + c, kKvGroup, width, bits);
  }
}

}  // namespace

void RoundToLevels(float* values, int64_t count, int64_t stride, int bits) {
  float least = values[0], most = values[0];
  for (int64_t i = 1; i < count; ++i) {
    least = std::min(least, values[i * stride]);
    most = std::max(most, values[i * stride]);
  }
  const float levels = static_cast<float>((1 << bits) - 1);
  const float scale = (most - least) / levels;
  if (scale == 0) return;
  for (int64_t i = 0; i < count; ++i) {
    float& value = values[i * stride];
    value = least + scale * std::clamp(std::nearbyint((value - least) / scale), 0.0f, levels);
  }
}

RoundedCache::RoundedCache(const KvCacheSpec& spec, const QuantAxes& axes, const Backend& backend)
    : FullCache(spec, backend), axes_(axes) {
  QS_CHECK(spec.dense_type == KvType::kF32 && axes.bits >= 1 && axes.bits <= 8);
  k_.resize(static_cast<size_t>(kKvGroup) * static_cast<size_t>(spec.geometry.kv_heads) *
            static_cast<size_t>(spec.geometry.head_dim));
  v_.resize(k_.size());
  staging_ = backend.Allocate(2 * k_.size() * sizeof(float));
}

void RoundedCache::Commit(Backend& backend, RowKind kind) {
  FullCache::Commit(backend, kind);
  for (; rounded_ + 2 * kKvGroup <= length_; rounded_ += kKvGroup) {
    for (int layer = 0; layer < spec_.layers; ++layer) {
      RoundGroup(backend, View(layer).dense[0], rounded_);
    }
  }
}

void RoundedCache::Rewind(int length) {
  FullCache::Rewind(length);
  QS_CHECK(length == 0 || length >= rounded_);
  if (length == 0) rounded_ = 0;
}

void RoundedCache::RoundGroup(Backend& backend, const DenseSegment& segment, int first) {
  const KvGeometry geometry = spec_.geometry;
  const int width = geometry.kv_heads * geometry.head_dim;
  for (int t = 0; t < kKvGroup; ++t) {
    backend.LoadKv(geometry, segment, first + t, k_.data() + t * width, v_.data() + t * width);
  }
  for (int head = 0; head < geometry.kv_heads; ++head) {
    const int channel = head * geometry.head_dim;
    RoundHead(k_.data(), width, channel, geometry.head_dim, axes_.keys, axes_.bits);
    RoundHead(v_.data(), width, channel, geometry.head_dim, axes_.values, axes_.bits);
  }
  auto* k = reinterpret_cast<float*>(staging_.data());
  float* v = k + k_.size();
  backend.Upload(k_.data(), k_.size() * sizeof(float), k);
  backend.Upload(v_.data(), v_.size() * sizeof(float), v);
  backend.StoreKv(ConstRows(k, kKvGroup, width), ConstRows(v, kKvGroup, width), geometry, segment,
                  first);
}

}  // namespace quantspec
