// Where the reference backend keeps a cache: reference_backend.h has the layouts.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/float16.h"
#include "kernels/backend.h"

namespace quantspec::reference {

// Element of a dense segment's keys or values.
inline int64_t DenseIndex(KvGeometry geometry, int64_t row, int head, int channel) {
  return (row * geometry.kv_heads + head) * geometry.head_dim + channel;
}

inline float LoadDense(KvType type, const std::byte* data, int64_t index) {
  if (type == KvType::kF32) return reinterpret_cast<const float*>(data)[index];
  return FloatFromF16(reinterpret_cast<const F16*>(data)[index]);
}

inline void StoreDense(KvType type, std::byte* data, int64_t index, float value) {
  if (type == KvType::kF32) {
    reinterpret_cast<float*>(data)[index] = value;
  } else {
    reinterpret_cast<F16*>(data)[index] = F16FromFloatSaturated(value);
  }
}

// A score as AttendArgs::softcap has it.
inline double Capped(double score, float softcap) {
  return softcap == 0 ? score : softcap * std::tanh(score / softcap);
}

inline int64_t CodesOf(KvGeometry geometry) { return int64_t{kKvGroup} * geometry.head_dim; }
inline int64_t ValueScalesOf(KvGeometry geometry) {
  return int64_t{kKvGroup} * (geometry.head_dim / ValueGroup(geometry.head_dim));
}

// One head's group.
struct Group {
  uint8_t *k_upper, *k_lower, *v_upper, *v_lower;  // [kKvGroup][head_dim]
  GroupScale* k_scales;                            // [head_dim]
  GroupScale* v_scales;                            // [kKvGroup][head_dim / ValueGroup]
};

inline Group GroupAt(KvGeometry geometry, const SealedSegment& segment, int head, int64_t slot) {
  const int64_t codes = CodesOf(geometry);
  const int64_t index = head * segment.capacity + slot;
  auto* upper = reinterpret_cast<uint8_t*>(segment.upper) + index * 2 * codes;
  uint8_t* lower = segment.lower == nullptr
                       ? nullptr
                       : reinterpret_cast<uint8_t*>(segment.lower) + index * 2 * codes;
  auto* scales = reinterpret_cast<GroupScale*>(segment.scales) +
                 index * (geometry.head_dim + ValueScalesOf(geometry));
  return {upper,         lower,
          upper + codes, lower == nullptr ? nullptr : lower + codes,
          scales,        scales + geometry.head_dim};
}

// Of token t of a group, channel c.
inline float KeyOf(const Group& group, int head_dim, int t, int c, Planes planes) {
  const int64_t at = int64_t{t} * head_dim + c;
  const uint8_t lower = planes == Planes::kBoth ? group.k_lower[at] : uint8_t{0};
  return DecodeValue(group.k_scales[c], group.k_upper[at], lower, planes);
}
inline float ValueOf(const Group& group, int head_dim, int t, int c, Planes planes) {
  const int64_t at = int64_t{t} * head_dim + c;
  const uint8_t lower = planes == Planes::kBoth ? group.v_lower[at] : uint8_t{0};
  const int part = ValueGroup(head_dim);
  return DecodeValue(group.v_scales[t * (head_dim / part) + c / part], group.v_upper[at], lower,
                     planes);
}

}  // namespace quantspec::reference
