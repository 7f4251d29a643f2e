// Segments that own their memory, for the cache tests.
#pragma once

#include <algorithm>
#include <vector>

#include "parity/parity.h"

namespace quantspec::testing {

struct OwnedDense {
  Buffer memory;
  DenseSegment segment;

  OwnedDense(const Backend& backend, KvGeometry geometry, KvType type, int64_t capacity) {
    const size_t bytes = backend.DenseBytes(geometry, type, capacity);
    memory = Buffer(2 * bytes);
    segment.type = type;
    segment.keys = memory.data();
    segment.values = memory.data() + bytes;
    segment.capacity = capacity;
  }
};

struct OwnedSealed {
  Buffer upper, lower, scales;
  SealedSegment segment;

  OwnedSealed(const Backend& backend, KvGeometry geometry, int64_t capacity) {
    const SealedBytes bytes = backend.SizeOf(geometry, capacity);
    upper = Buffer(bytes.upper);
    lower = Buffer(bytes.lower);
    scales = Buffer(bytes.scales);
    segment = {upper.data(), lower.data(), scales.data(), capacity, 0};
  }
};

// Keys and values as models make them: channels of keys differ in scale and offset.
struct KvData {
  std::vector<float> k, v;
  KvData(Random& random, KvGeometry geometry, int64_t tokens) {
    const int64_t columns = int64_t{geometry.kv_heads} * geometry.head_dim;
    std::vector<float> scale(static_cast<size_t>(columns)), offset(scale.size());
    for (float& x : scale) x = static_cast<float>(0.25 + random.Uniform());
    for (float& x : offset) x = random.Normal();
    k = random.Normals(tokens * columns);
    for (size_t i = 0; i < k.size(); ++i) {
      k[i] = k[i] * scale[i % scale.size()] + offset[i % scale.size()];
    }
    v = random.Normals(tokens * columns);
  }
};

// A hierarchical cache of one layer: `groups` sealed groups and `tail` dense rows.
struct OwnedCache {
  OwnedDense prompt;
  OwnedSealed sealed;
  OwnedDense tail;
  KvView view;

  OwnedCache(Backend& backend, KvGeometry geometry, KvType type, const KvData& data, int64_t groups,
             int64_t tail_rows)
      : prompt(backend, geometry, type, RoundUp(groups * kKvGroup + tail_rows, kDenseRows)),
        sealed(backend, geometry, std::max(groups, int64_t{1})),
        tail(backend, geometry, type, RoundUp(std::max(tail_rows, int64_t{1}), kDenseRows)) {
    const int64_t columns = int64_t{geometry.kv_heads} * geometry.head_dim;
    const int64_t tokens = groups * kKvGroup + tail_rows;
    const ConstRows k(data.k.data(), tokens, columns), v(data.v.data(), tokens, columns);
    backend.StoreKv(k, v, geometry, prompt.segment, 0);
    backend.SealKv(geometry, prompt.segment, 0, sealed.segment, 0, groups);
    backend.CopyKv(geometry, prompt.segment, groups * kKvGroup, tail_rows, tail.segment, 0);
    sealed.segment.groups = groups;
    tail.segment.rows = tail_rows;
    tail.segment.first_position = groups * kKvGroup;
    view.geometry = geometry;
    view.sealed = sealed.segment;
    view.dense[0] = tail.segment;
    view.dense_count = 1;
  }
};

}  // namespace quantspec::testing
