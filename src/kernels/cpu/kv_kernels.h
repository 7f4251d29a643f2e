// Writing to the cache: storing rows and sealing groups, for one instruction set.
#pragma once

#include <cstdint>

#include "kernels/cpu/kv_layout.h"

namespace quantspec::cpu {

// Rows [first_row, first_row + rows) of one head, all in one block of 16 rows.
struct StoreArgs {
  const float* k;  // of this head: [rows, head_dim] with `k_stride`
  const float* v;
  int64_t k_stride;
  int64_t v_stride;
  int64_t first_row;
  int rows;
  int head_dim;
  KvType type;
  std::byte* keys;  // of this head
  std::byte* values;
};

// One group of one head, from the dense rows of that head.
struct SealArgs {
  const std::byte* keys;  // the first of 128 rows, which starts a block of 16
  const std::byte* values;
  KvType type;
  int head_dim;
  SealedGroup out;
};

struct KvKernels {
  void (*store)(const StoreArgs& args);
  void (*seal)(const SealArgs& args);
};

}  // namespace quantspec::cpu
