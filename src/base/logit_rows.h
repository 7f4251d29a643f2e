// Rows of logits as a model leaves them.
#pragma once

#include <cstddef>
#include <span>

#include "base/view.h"

namespace quantspec {

// The largest of every `pack` logits of one row, which whoever computed them had at hand; -infinity
// in place of NaN. Empty where nobody had.
struct PackMaxima {
  std::span<const float> values;  // [logits / pack, rounded up]
  int pack = 0;
};

struct LogitRows : ConstRows {
  LogitRows() = default;
  // Without maxima.
  LogitRows(const ConstRows& logits)  // NOLINT: implicit on purpose, for toy models
      : ConstRows(logits) {}
  // `pack_maxima` [rows, columns / logits_of_pack, rounded up].
  LogitRows(const ConstRows& logits, const ConstRows& pack_maxima, int logits_of_pack)
      : ConstRows(logits), maxima(pack_maxima), pack(logits_of_pack) {}

  PackMaxima MaximaOf(int64_t row) const {
    if (maxima.rows == 0) return {};
    return {{maxima.Row(row), static_cast<size_t>(maxima.columns)}, pack};
  }

  ConstRows maxima;
  int pack = 0;
};

}  // namespace quantspec
