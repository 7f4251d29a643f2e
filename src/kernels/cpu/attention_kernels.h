// Attention on the CPU: what one instruction set exports, and the softmax states it works on.
//
// The rows of a unit of work are the (token, query head) pairs that share one KV head, token by
// token: row i is token i / gqa, query head i % gqa of the KV head. A unit covers a fixed part of
// the context, so neither the number of rows nor that of threads changes a row's bits: whatever
// differs between rows is computed row by row, what is shared is exact (integer sums) or a plain
// chain of fused multiply-adds a row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/view.h"
#include "kernels/cpu/kv_layout.h"

namespace quantspec::cpu {

// Partial results of `rows` rows over part of the context, log-sum-exp style and in base 2: the sum
// of 2^(score - max) and the values weighted likewise. `max` is near the largest score, or up to 25
// from it where that keeps rounded weights precise (attention_sealed-inl.h).
struct SoftmaxState {
  float* max;     // [rows]
  float* sum;     // [rows]
  float* values;  // [rows][head_dim]
  int64_t rows;
  int64_t padded;  // rows, rounded up to 16
};
inline constexpr int64_t kStatePadding = 16;
inline int64_t StateFloats(int64_t rows, int head_dim) {
  return 2 * RoundUp(rows, kStatePadding) + rows * head_dim;
}
inline SoftmaxState StateAt(float* memory, int64_t rows) {
  const int64_t padded = RoundUp(rows, kStatePadding);
  return {memory, memory + padded, memory + 2 * padded, rows, padded};
}

// Below every score, and finite, so that differences of maxima are never NaN.
inline constexpr float kNoScore = -1e30f;

// Floats of packed queries: rows of floats, or whole tiles of 16 rows and 32 channels as bf16.
inline int64_t QueryFloats(int64_t rows, int head_dim) {
  const int64_t halves = RoundUp(rows, 16) * RoundUp(head_dim, 32) / 2;
  return rows * head_dim > halves ? rows * head_dim : halves;
}

// Tokens of a dense tile: the scores that one update of a state covers.
inline constexpr int kDenseTile = 64;

// How codes are fetched ahead of their use by instructions: into the first cache from near by, into
// L2 from further away, or the latter but not of two planes for few rows.
enum class PlaneFetch { kNear, kFar, kFarForSomeRows };

// Rows' queries, scaled by the softmax scale times log2(e).
struct SealedWork {
  const float* q;  // [rows][head_dim]
  int head_dim;
  Planes planes;
  SealedGroup first;     // slot 0 of one head
  const int32_t* slots;  // [groups] of a run
  int64_t groups;
  int64_t begin, end;  // of these, the ones to attend over
  PlaneFetch fetch;
  float softcap;  // of scores in base 2; 0: none
  float* lanes;   // [rows][3][16], for its own use
  // [end - begin][state.padded], out, if not null: log2 of each group's sum of 2^score, within 0.1.
  float* masses;
  SoftmaxState state;
};

struct DenseWork {
  const float* q;  // tiles of rows, each [head_dim][rows of the tile]; or pairs of bf16
  int head_dim;
  KvType type;
  const std::byte* keys;  // of one head
  const std::byte* values;
  int64_t first;  // rows [first, last) of the segment; first is a multiple of kDenseTile
  int64_t last;
  const int32_t* visible;  // [rows] a row sees segment rows below it; never falling
  int64_t begin = 0;       // rows before it hold nothing
  int32_t window = 0;      // of the rows that a row may see, the last ones that it does; 0: all
  float softcap = 0;       // of scores in base 2; 0: none
  float* converted;        // [2][kDenseTile][head_dim], for its own use
  SoftmaxState state;
};

struct AttentionKernels {
  // Copies queries of `rows` rows: row i from q[i / gqa * stride + i % gqa * head_dim], multiplied.
  void (*pack_rows)(const float* q, int64_t stride, int gqa, int64_t rows, int head_dim,
                    float factor, float* out);
  void (*pack_tiles)(const float* q, int64_t stride, int gqa, int64_t rows, int head_dim,
                     float factor, float* out);
  void (*clear)(const SoftmaxState& state, int head_dim);
  // Adds to a cleared state.
  void (*sealed)(const SealedWork& work);
  // SealedWork::masses of `groups` groups, and the state of all the context: of each group the
  // largest of the rows' log2 of its share.
  void (*share_masses)(const float* masses, int64_t groups, const SoftmaxState& total, float* out);
  // Adds to any state.
  void (*dense)(const DenseWork& work);
  // The same over f16 in products of 16 bits, with queries packed by pack_pairs; null where the
  // instruction set has none.
  void (*pack_pairs)(const float* q, int64_t stride, int gqa, int64_t rows, int head_dim,
                     float factor, float* out);
  void (*pairs)(const DenseWork& work);
  // Adds a part to a total.
  void (*merge)(const SoftmaxState& total, const SoftmaxState& part, int head_dim);
  // Row i goes to out[i / gqa * stride + i % gqa * head_dim].
  void (*finish)(const SoftmaxState& total, int gqa, int head_dim, float* out, int64_t stride);
};

}  // namespace quantspec::cpu
