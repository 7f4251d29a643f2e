// The embedding lookup that the backends on the host share: rows are decoded as they stand in the
// file, so there is one value for every backend and instruction set.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/backend.h"

namespace quantspec {

// out row i = row tokens[i] of `table`, decoded to float.
inline void EmbedRows(const EmbeddingTable& table, std::span<const int32_t> tokens, Rows out) {
  const GgmlTypeInfo* info = FindGgmlType(static_cast<uint32_t>(table.type));
  QS_CHECK(info != nullptr);
  const int64_t row_bytes = table.hidden / info->block_values * info->block_bytes;
  for (size_t i = 0; i < tokens.size(); ++i) {
    DecodeGgml(table.type, table.data + tokens[i] * row_bytes, table.hidden,
               out.Row(static_cast<int64_t>(i)));
  }
}

}  // namespace quantspec
