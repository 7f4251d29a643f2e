// Writing to the cache for one instruction set: storing rows, sealing groups, decoding them.
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

// One group of one head, to dense rows of that head.
struct UnsealArgs {
  SealedGroup from;
  Planes planes;
  KvType type;
  int head_dim;
  std::byte* keys;    // the first of 128 rows, which starts a block of 16
  std::byte* values;  // null: not wanted
};

struct KvKernels {
  void (*store)(const StoreArgs& args);
  void (*seal)(const SealArgs& args);
  void (*unseal)(const UnsealArgs& args);
};

}  // namespace quantspec::cpu
