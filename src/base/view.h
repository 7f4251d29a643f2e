// Views of bulk memory. They never own; Buffer does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/check.h"

namespace quantspec {

// A row-major matrix; `stride` is the distance of rows in elements.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* d, int64_t r, int64_t c) : data(d), rows(r), columns(c), stride(c) {}
  MatrixView(T* d, int64_t r, int64_t c, int64_t s) : data(d), rows(r), columns(c), stride(s) {}
  // A view of mutable data is also one of constant data.
  template <typename U, typename = std::enable_if_t<std::is_same_v<const U, T>>>
  MatrixView(const MatrixView<U>& other)  // NOLINT: implicit on purpose, as for std::span
      : data(other.data), rows(other.rows), columns(other.columns), stride(other.stride) {}

  T* Row(int64_t row) const {
    QS_DCHECK(row >= 0 && row < rows);
    return data + row * stride;
  }
  MatrixView Rows(int64_t first, int64_t count) const {
    QS_DCHECK(first >= 0 && count >= 0 && first + count <= rows);
    return {data + first * stride, count, columns, stride};
  }
};

using Rows = MatrixView<float>;
using ConstRows = MatrixView<const float>;

inline constexpr int64_t RoundUp(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
inline constexpr int64_t CeilDiv(int64_t n, int64_t d) { return (n + d - 1) / d; }

}  // namespace quantspec
