// The scratch memory of attention: what a call keeps between its units, and what each thread works
// on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/view.h"
#include "kernels/backend.h"
#include "kernels/cpu/attention_kernels.h"

namespace quantspec::cpu {

inline constexpr int64_t kSplitRows = 1024;  // dense rows of a split
inline constexpr int64_t kBlockRows = 192;   // of a prefill block
inline constexpr int kCounterStride = 16;    // int32 of a cache line: a line for each head

inline int64_t MostSplits(int64_t positions) {
  return CeilDiv(positions, kSplitRows) + 1 + kMaxDenseSegments;
}

// One thread's memory; sizes in floats (and int32, as wide), for units of up to `rows` rows.
struct ThreadMemory {
  float* turned;     // queries [rows][head_dim], or keys [kDenseRows][head_dim]
  float* rows;       // queries [rows][head_dim]
  float* tiles;      // the same in tiles
  float* converted;  // [2][kDenseTile][head_dim]
  float* lanes;      // [rows][3][16]
  float* part;
  float* total;
  int32_t* visible;  // [rows]

  static int64_t Floats(int64_t rows, int head_dim) {
    return std::max(rows, kDenseRows) * head_dim + rows * head_dim + QueryFloats(rows, head_dim) +
           48 * rows + 2 * kDenseTile * head_dim + 2 * StateFloats(rows, head_dim) +
           RoundUp(rows, 16);
  }
  ThreadMemory(float* memory, int64_t most_rows, int head_dim) {
    const auto take = [&](int64_t floats) {
      float* taken = memory;
      memory += floats;
      return taken;
    };
    turned = take(std::max(most_rows, kDenseRows) * head_dim);
    rows = take(most_rows * head_dim);
    tiles = take(QueryFloats(most_rows, head_dim));
    converted = take(2 * kDenseTile * head_dim);
    lanes = take(most_rows * 48);
    part = take(StateFloats(most_rows, head_dim));
    total = take(StateFloats(most_rows, head_dim));
    visible = reinterpret_cast<int32_t*>(take(RoundUp(most_rows, 16)));
  }
};

// Shares of the scratch memory, in floats: per-head counters, partial states, what groups weigh, a
// step's queries, threads.
struct ScratchShares {
  int64_t counters, states, weights, queries, thread;
  int64_t thread_rows;

  explicit ScratchShares(const ScratchLimits& limits) {
    const int head_dim = limits.geometry.head_dim;
    const int64_t gqa = limits.q_heads / limits.geometry.kv_heads;
    const int64_t step_rows = std::min(limits.rows, kStepTokens) * gqa;
    const int64_t block_rows = std::max(std::min(limits.rows * gqa, kBlockRows), gqa);
    thread_rows = std::max(step_rows, block_rows);
    counters = int64_t{limits.geometry.kv_heads} * kCounterStride;
    states =
        MostSplits(limits.positions) * limits.geometry.kv_heads * StateFloats(step_rows, head_dim);
    weights =
        limits.positions / kKvGroup * limits.geometry.kv_heads * RoundUp(step_rows, kStatePadding);
    queries = RoundUp(step_rows * limits.geometry.kv_heads * head_dim, 16);
    thread = ThreadMemory::Floats(thread_rows, head_dim);
  }
  size_t Bytes(int threads) const {
    return static_cast<size_t>(counters + states + weights + queries + threads * thread) *
           sizeof(float);
  }
};

// The scratch memory of a call, cut up.
struct Scratch {
  int32_t* counters;  // [kv_heads][16] splits done; a cache line each
  float* states;      // [kv_heads][splits] partial states
  float* weights;     // [kv_heads][groups][rows, padded]
  float* queries;     // [tokens][q_heads * head_dim] of a step, turned
  float* threads;
  ScratchShares shares;
  int head_dim;

  Scratch(std::byte* memory, const ScratchLimits& limits)
      : shares(limits), head_dim(limits.geometry.head_dim) {
    counters = reinterpret_cast<int32_t*>(memory);
    states = reinterpret_cast<float*>(memory) + shares.counters;
    weights = states + shares.states;
    queries = weights + shares.weights;
    threads = queries + shares.queries;
  }
  ThreadMemory Of(int thread) const {
    return {threads + thread * shares.thread, shares.thread_rows, head_dim};
  }
};

}  // namespace quantspec::cpu
