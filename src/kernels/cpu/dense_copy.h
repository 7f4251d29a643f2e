// Rows of dense segments in plain C++: read, written, copied between segments of any type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/float16.h"
#include "kernels/cpu/kv_layout.h"

namespace quantspec::cpu {

// One head's keys or values.
inline std::byte* HeadOf(std::byte* data, KvType type, int head_dim, int64_t capacity, int head) {
  return data + head * DenseHeadStride(head_dim, capacity) * ElementBytes(type);
}

inline float LoadElement(KvType type, const std::byte* data, int64_t index) {
  if (type == KvType::kF32) return reinterpret_cast<const float*>(data)[index];
  return FloatFromF16(reinterpret_cast<const F16*>(data)[index]);
}

inline void StoreElement(KvType type, std::byte* data, int64_t index, float value) {
  if (type == KvType::kF32) {
    reinterpret_cast<float*>(data)[index] = value;
  } else {
    reinterpret_cast<F16*>(data)[index] = F16FromFloatSaturated(value);
  }
}

// Rows of one head from one segment to another; all arguments are of that head.
struct HeadCopy {
  KvType from_type, to_type;
  const std::byte *from_keys, *from_values;
  std::byte *to_keys, *to_values;
  int head_dim;
};

template <typename T>
void CopyEqualRow(const HeadCopy& copy, int64_t from_row, int64_t to_row) {
  const int head_dim = copy.head_dim;
  const T* from_keys = reinterpret_cast<const T*>(copy.from_keys);
  T* to_keys = reinterpret_cast<T*>(copy.to_keys);
  from_keys += DenseKeyIndex(head_dim, from_row, 0);
  to_keys += DenseKeyIndex(head_dim, to_row, 0);
  for (int c = 0; c < head_dim; ++c) to_keys[c * kTokenBlock] = from_keys[c * kTokenBlock];
  const auto bytes = static_cast<int64_t>(sizeof(T)) * head_dim;
  std::memcpy(copy.to_values + to_row * bytes, copy.from_values + from_row * bytes,
              static_cast<size_t>(bytes));
}

inline void CopyRow(const HeadCopy& copy, int64_t from_row, int64_t to_row) {
  if (copy.from_type == copy.to_type) {
    const bool is_f32 = copy.to_type == KvType::kF32;
    (is_f32 ? CopyEqualRow<float> : CopyEqualRow<F16>)(copy, from_row, to_row);
    return;
  }
  for (int c = 0; c < copy.head_dim; ++c) {
    StoreElement(
        copy.to_type, copy.to_keys, DenseKeyIndex(copy.head_dim, to_row, c),
        LoadElement(copy.from_type, copy.from_keys, DenseKeyIndex(copy.head_dim, from_row, c)));
    StoreElement(
        copy.to_type, copy.to_values, DenseValueIndex(copy.head_dim, to_row, c),
        LoadElement(copy.from_type, copy.from_values, DenseValueIndex(copy.head_dim, from_row, c)));
  }
}

inline void CopyRows(const HeadCopy& copy, int64_t from_row, int64_t rows, int64_t to_row) {
  const bool whole_blocks =
      copy.from_type == copy.to_type && from_row % kDenseRows == 0 && to_row % kDenseRows == 0;
  const int64_t blocked = whole_blocks ? rows / kDenseRows * kDenseRows : 0;
  if (blocked > 0) {
    const int64_t row_bytes = copy.head_dim * ElementBytes(copy.from_type);
    const auto bytes = static_cast<size_t>(blocked * row_bytes);
    std::memcpy(copy.to_keys + to_row * row_bytes, copy.from_keys + from_row * row_bytes, bytes);
    std::memcpy(copy.to_values + to_row * row_bytes, copy.from_values + from_row * row_bytes,
                bytes);
  }
  for (int64_t row = blocked; row < rows; ++row) CopyRow(copy, from_row + row, to_row + row);
}

}  // namespace quantspec::cpu
