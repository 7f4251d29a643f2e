// Rows of logits as a model leaves them.
#pragma once

#include "base/view.h"

namespace quantspec {

// Logits that lie together; whoever computed them had the largest of them at hand.
inline constexpr int kLogitPack = 16;

struct LogitRows : ConstRows {
  LogitRows() = default;
  // Without maxima.
  LogitRows(const ConstRows& logits)  // NOLINT: implicit on purpose, for toy models
      : ConstRows(logits) {}
  LogitRows(const ConstRows& logits, const ConstRows& pack_maxima)
      : ConstRows(logits), maxima(pack_maxima) {}

  // [rows, columns / kLogitPack, rounded up] the largest logit of each pack, -infinity in place of
  // NaN; or empty.
  ConstRows maxima;
};

}  // namespace quantspec
