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

inline constexpr int64_t kSplitGroups = 8;   // sealed groups of a split
inline constexpr int64_t kSplitRows = 1024;  // dense rows of a split
inline constexpr int64_t kBlockRows = 192;   // most rows of a block of a prompt
inline constexpr int kCounterStride = 16;    // int32 of a cache line: a line for each head
static_assert(kSplitGroups * kKvGroup == kSplitRows);

// One thread's memory; sizes in floats (and int32, as wide), for units of up to `rows` rows.
struct ThreadMemory {
  float* rows;       // queries [rows][head_dim]
  float* tiles;      // the same in tiles
  float* converted;  // [2][kDenseTile][head_dim]
  float* unsealed;   // [2][kKvGroup][head_dim], a group's keys and values
  float* lanes;      // [rows][3][16]
  float* part;
  float* total;
  int32_t* visible;  // [rows]

  static int64_t Floats(int64_t rows, int head_dim) {
    return rows * head_dim + QueryFloats(rows, head_dim) +
           int64_t{2} * (kDenseTile + kKvGroup) * head_dim + 48 * rows +
           2 * StateFloats(rows, head_dim) + RoundUp(rows, 16);
  }
  ThreadMemory(float* memory, int64_t most_rows, int head_dim) {
    const auto take = [&](int64_t floats) {
      float* taken = memory;
      memory += floats;
      return taken;
    };
    rows = take(most_rows * head_dim);
    tiles = take(QueryFloats(most_rows, head_dim));
    converted = take(int64_t{2} * kDenseTile * head_dim);
    unsealed = take(int64_t{2} * kKvGroup * head_dim);
    lanes = take(most_rows * 48);
    part = take(StateFloats(most_rows, head_dim));
    total = take(StateFloats(most_rows, head_dim));
    visible = reinterpret_cast<int32_t*>(take(RoundUp(most_rows, 16)));
  }
};

// What rows give a tile of tokens: weights relative to the largest of the tile, and its state.
struct WeighRecord {
  SoftmaxState state;
  float* weights;  // [rows][kDenseTile]

  static int64_t Floats(int64_t rows) { return StateFloats(rows, 0) + rows * kDenseTile; }
  WeighRecord(float* memory, int64_t rows)
      : state(StateAt(memory, rows)), weights(memory + StateFloats(rows, 0)) {}
};
inline constexpr int64_t kKeptFloats = 512 * 1024;  // most that a call takes for records

// One thread's memory of a WeighRows, in the place of ThreadMemory.
struct WeighMemory {
  float* tiles;      // queries [rows][head_dim], in tiles
  float* keys;       // [kKvGroup][head_dim], a group's
  float* converted;  // [kDenseTile][head_dim]
  float* record;

  static int64_t Floats(int64_t rows, int head_dim) {
    return (rows + kKvGroup + kDenseTile) * head_dim + WeighRecord::Floats(rows);
  }
  WeighMemory(float* memory, int64_t most_rows, int head_dim)
      : tiles(memory),
        keys(tiles + most_rows * head_dim),
        converted(keys + int64_t{kKvGroup} * head_dim),
        record(converted + int64_t{kDenseTile} * head_dim) {}
};

// Where the units and the memory of one sequence of a call begin.
struct SequencePlace {
  int64_t unit;
  float* states;  // [kv_heads][splits] partial states
  float* masses;  // [kv_heads][groups][rows that give them, padded]
};

// Shares of the scratch memory, in floats: places of sequences, counters of heads, what a call
// keeps (of an Attend partial states, then masses; of a WeighRows states, then records; of a
// ChooseRows two numbers of every head's tokens), threads.
struct ScratchShares {
  int64_t places, counters, states, masses, calls, thread;
  int64_t thread_rows, weigh_rows;

  explicit ScratchShares(const ScratchLimits& limits) {
    const int64_t heads = limits.geometry.kv_heads;
    const int head_dim = limits.geometry.head_dim;
    const int64_t gqa = limits.q_heads / heads;
    // Of one sequence whose splits are units, and of all of them.
    const int64_t step_rows = std::clamp(limits.step_rows, int64_t{1}, kStepRows) * gqa;
    const int64_t all_rows = std::max(limits.step_rows, int64_t{1}) * gqa;
    const int64_t block_rows = std::max(std::min(limits.rows * gqa, kBlockRows), gqa);
    thread_rows = std::max(step_rows, block_rows);
    places = RoundUp(limits.sequences * int64_t{sizeof(SequencePlace) / sizeof(float)}, 16);
    counters = limits.sequences * heads * kCounterStride;
    // A sequence has a split for every kSplitRows positions, and the rest of each run and segment.
    const int64_t rests = all_rows * (head_dim + 2) + 2 * kStatePadding * limits.sequences;
    states = heads * (CeilDiv(limits.positions, kSplitRows) * StateFloats(step_rows, head_dim) +
                      (kMaxRuns + kMaxDenseSegments) * rests);
    masses = limits.positions / kKvGroup * heads * RoundUp(step_rows, kStatePadding);
    weigh_rows = kWeighRows * gqa;
    const int64_t splits =
        CeilDiv(limits.positions, kSplitRows) + kMaxRuns + kMaxDenseSegments;  // at most
    const int64_t records =
        heads * splits * (kSplitRows / kDenseTile) * WeighRecord::Floats(weigh_rows);
    const int64_t weighing =
        heads * (splits + 1) * StateFloats(weigh_rows, 0) + std::min(records, kKeptFloats);
    calls = RoundUp(std::max({states + masses, weighing, 2 * heads * limits.positions}), 16);
    thread = std::max(ThreadMemory::Floats(thread_rows, head_dim),
                      WeighMemory::Floats(weigh_rows, head_dim));
  }
  size_t Bytes(int threads) const {
    return static_cast<size_t>(places + counters + calls + threads * thread) * sizeof(float);
  }
};

// The scratch memory of a call, cut up.
struct Scratch {
  SequencePlace* places;  // [sequences]
  int32_t* counters;      // [sequences][kv_heads][16] splits done; a cache line each
  float* states;
  float* masses;
  float* threads;
  ScratchShares shares;
  int head_dim;

  Scratch(std::byte* memory, const ScratchLimits& limits)
      : shares(limits), head_dim(limits.geometry.head_dim) {
    places = reinterpret_cast<SequencePlace*>(memory);
    counters = reinterpret_cast<int32_t*>(memory) + shares.places;
    states = reinterpret_cast<float*>(counters + shares.counters);
    masses = states + shares.states;
    threads = states + shares.calls;
  }
  ThreadMemory Of(int thread) const {
    return {threads + thread * shares.thread, shares.thread_rows, head_dim};
  }
  WeighMemory OfWeighing(int thread) const {
    return {threads + thread * shares.thread, shares.weigh_rows, head_dim};
  }
};

}  // namespace quantspec::cpu
