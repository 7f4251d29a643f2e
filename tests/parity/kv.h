// Segments that own their memory, for the cache tests.
#pragma once

#include <algorithm>
#include <numeric>
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
    segment = {upper.data(), lower.data(), scales.data(), capacity};
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

// A hierarchical cache of one layer: `groups` sealed groups and `tail` dense rows. The view reads
// all groups in one run.
struct OwnedCache {
  OwnedDense prompt;
  OwnedSealed sealed;
  OwnedDense tail;
  std::vector<int32_t> slots;  // of the groups
  KvView view;

  // The groups lie in the slots 0, 1, 2, ..., or in those given.
  OwnedCache(Backend& backend, KvGeometry geometry, KvType type, const KvData& data, int64_t groups,
             int64_t tail_rows, const std::vector<int32_t>& in_slots = {})
      : prompt(backend, geometry, type, RoundUp(groups * kKvGroup + tail_rows, kDenseRows)),
        sealed(backend, geometry, MostSlots(groups, in_slots)),
        tail(backend, geometry, type, RoundUp(std::max(tail_rows, int64_t{1}), kDenseRows)),
        slots(in_slots) {
    if (slots.empty()) {
      slots.resize(static_cast<size_t>(groups));
      std::iota(slots.begin(), slots.end(), 0);
    }
    const int64_t columns = int64_t{geometry.kv_heads} * geometry.head_dim;
    const int64_t tokens = groups * kKvGroup + tail_rows;
    const ConstRows k(data.k.data(), tokens, columns), v(data.v.data(), tokens, columns);
    backend.StoreKv(k, v, geometry, prompt.segment, 0);
    for (int64_t g = 0; g < groups; ++g) {
      backend.SealKv(geometry, prompt.segment, g * kKvGroup, sealed.segment,
                     slots[static_cast<size_t>(g)]);
    }
    backend.CopyKv(geometry, prompt.segment, groups * kKvGroup, tail_rows, tail.segment, 0);
    tail.segment.rows = tail_rows;
    tail.segment.first_position = groups * kKvGroup;
    view.sealed = sealed.segment;
    view.runs[0] = {slots.data(), groups};
    view.run_count = 1;
    view.dense[0] = tail.segment;
    view.dense_count = 1;
  }

 private:
  static int64_t MostSlots(int64_t groups, const std::vector<int32_t>& slots) {
    for (const int32_t slot : slots) groups = std::max(groups, int64_t{slot} + 1);
    return std::max(groups, int64_t{1});
  }
};

// Limits of calls of so many rows of each sequence, and positions of all.
inline ScratchLimits AttendLimits(KvGeometry geometry, int q_heads, int64_t rows, int64_t positions,
                                  int64_t sequences = 1) {
  ScratchLimits limits;
  limits.rows = rows * sequences;
  limits.step_rows = std::min(rows, kStepRows) * sequences;
  limits.sequences = sequences;
  limits.positions = positions;
  limits.geometry = geometry;
  limits.q_heads = q_heads;
  return limits;
}

// A call of one sequence.
inline void AttendOne(Backend& backend, AttendArgs args, AttendRows rows) {
  rows.rows = args.q.rows;
  args.sequences = {&rows, 1};
  backend.Attend(args);
}

inline std::string NameOf(AttendMath math) {
  return math == AttendMath::kCodes ? "codes" : math == AttendMath::kBf16 ? "bf16" : "float";
}

}  // namespace quantspec::testing
