// Attention over dense rows. Few rows: bound by memory. Many (prefill): by fused multiply-adds,
// 2 head_dim a row and token, with tiles of up to kTileRows rows in registers.

namespace quantspec::cpu::QS_ISA {

// Fetches what the same loop will read of the next tile of tokens; f16 comes from memory, floats
// are mostly a converted tile.
template <typename T>
QS_INLINE void PrefetchTile(const T* p, int head_dim) {
  Words::PrefetchL2(reinterpret_cast<const std::byte*>(p + kDenseTile * head_dim));
}

// Scores of R rows and B blocks of 16 tokens.
template <typename T, int R, int B>
QS_INLINE void KeyScores(const T* keys, const float* q, int head_dim, float* scores) {
  constexpr int kVectors = B * kBlockVectors;
  F acc[kVectors][R];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) acc[v][r] = Words::Zero();
  }
  for (int c = 0; c < head_dim; ++c) {
    F k[kVectors];
    if constexpr (sizeof(T) == 2) {
#pragma GCC unroll 4
      for (int b = 0; b < B; ++b) PrefetchTile(keys + (b * head_dim + c) * 16, head_dim);
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      k[v] = LoadElements(keys + v / kBlockVectors * 16 * head_dim + c * 16 +
                          v % kBlockVectors * Words::kLanes);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const F x = Words::Broadcast(q + c * R + r);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[v][r] = Words::Fma(k[v], x, acc[v][r]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Words::Store(scores + r * kDenseTile + v * Words::kLanes, acc[v][r]);
    }
  }
}

// Adds the values of `tokens` tokens, weighted, to V vectors of channels of R rows.
template <typename T, int R, int V>
QS_INLINE void AddValues(const T* values, const float* weights, const float* factor, int tokens,
                         int head_dim, float* sums) {
  F acc[V][R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      acc[v][r] = Words::Mul(Words::Load(sums + r * head_dim + v * Words::kLanes),
                             Words::Broadcast(factor + r));
    }
  }
  for (int t = 0; t < tokens; ++t) {
    F x[V];
    if constexpr (sizeof(T) == 2) PrefetchTile(values + t * head_dim, head_dim);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) x[v] = LoadElements(values + t * head_dim + v * Words::kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const F w = Words::Broadcast(weights + r * kDenseTile + t);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[v][r] = Words::Fma(x[v], w, acc[v][r]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      Words::Store(sums + r * head_dim + v * Words::kLanes, acc[v][r]);
    }
  }
}

inline int Clamp(int64_t x, int64_t low, int64_t high) {
  return static_cast<int>(x < low ? low : x > high ? high : x);
}

// The first segment row that a row sees.
QS_INLINE int64_t FirstSeen(const DenseWork& work, int64_t row) {
  const int64_t first = work.window > 0 ? int64_t{work.visible[row]} - work.window : 0;
  return first > work.begin ? first : work.begin;
}

// The first row of the tile of tokens where a unit begins.
QS_INLINE int64_t FirstTile(const DenseWork& work) {
  const int64_t first = FirstSeen(work, 0) / kDenseTile * kDenseTile;
  return first > work.first ? first : work.first;
}

// Caps the scores of a tile whose first token is segment row `first`, and hides those that stand
// before a row's window.
QS_ROW_FUNCTION void AdjustScores(const DenseWork& work, int64_t row, int rows, int64_t first,
                                  int width, float* scores) {
  for (int r = 0; r < rows; ++r, scores += kDenseTile) {
    if (work.softcap > 0) CapRow(scores, width, work.softcap);
    const int hidden = Clamp(FirstSeen(work, row + r) - first, 0, width);
    for (int t = 0; t < hidden; ++t) scores[t] = -__builtin_inff();
  }
}

// Hides the scores from `seen` on and returns the largest of the others and `max`.
QS_ROW_FUNCTION float MaskRow(float* scores, int seen, int width, float max) {
  for (int t = seen; t < width; ++t) scores[t] = -__builtin_inff();
  F most = Words::Set(max);
  for (int t = 0; t < width; t += Words::kLanes) {
    most = Words::Max(most, Words::Load(scores + t));
  }
  return Words::MaxOf(most);
}

// Makes weights of scores; returns their sum.
QS_ROW_FUNCTION float SoftmaxRow(float* scores, int width, float max) {
  F sum = Words::Zero();
  const F wide = Words::Set(max);
  for (int t = 0; t < width; t += Words::kLanes) {
    const F p = Exp2(Words::Sub(Words::Load(scores + t), wide));
    sum = Words::Add(sum, p);
    Words::Store(scores + t, p);
  }
  return Words::Sum(sum);
}

// One tile of rows against one tile of at most kDenseTile tokens.
template <typename T, int R>
void AttendTile(const DenseWork& work, const T* keys, const T* values, int64_t row, int64_t first,
                int64_t last) {
  const int head_dim = work.head_dim;
  const int tokens = Clamp(work.visible[row + R - 1] - first, 0, last - first);
  if (tokens == 0 || FirstSeen(work, row) >= first + tokens) return;
  const int width = static_cast<int>(RoundUp(tokens, kTokenBlock));
  const float* q = work.q + row * head_dim;
  alignas(64) float scores[R * kDenseTile];
  constexpr int kBlocks = kAccumulators / (R * kBlockVectors);  // of 16 tokens in registers
  constexpr int kMost = kBlocks >= 4 ? 4 : kBlocks >= 2 ? 2 : 1;
  int t = 0;
  for (; t + kMost * 16 <= width; t += kMost * 16) {
    KeyScores<T, R, kMost>(keys + int64_t{t} * head_dim, q, head_dim, scores + t);
  }
  for (; t < width; t += 16) {
    KeyScores<T, R, 1>(keys + int64_t{t} * head_dim, q, head_dim, scores + t);
  }
  if (work.window > 0 || work.softcap > 0) AdjustScores(work, row, R, first, width, scores);
  TileSoftmax tile;
  BeginTile(tile, work.state, row, R);
  for (int r = 0; r < R; ++r) {
    const int seen = Clamp(work.visible[row + r] - first, 0, tokens);
    tile.new_max[r] = MaskRow(scores + r * kDenseTile, seen, width, tile.old_max[r]);
  }
  RescaleTile(tile, R);
  for (int r = 0; r < R; ++r) {
    tile.sum[r] = SoftmaxRow(scores + r * kDenseTile, width, tile.new_max[r]);
  }
  EndTile(tile, work.state, row, R);
  float* sums = work.state.values + row * head_dim;
  constexpr int kMostChannels = kAccumulators / R >= 4 ? 4 : kAccumulators / R >= 2 ? 2 : 1;
  int c = 0;
  for (; c + kMostChannels * Words::kLanes <= head_dim; c += kMostChannels * Words::kLanes) {
    AddValues<T, R, kMostChannels>(values + c, scores, tile.factor, tokens, head_dim, sums + c);
  }
  for (; c < head_dim; c += Words::kLanes) {
    AddValues<T, R, 1>(values + c, scores, tile.factor, tokens, head_dim, sums + c);
  }
}

template <typename T>
using AttendTileFunction = void (*)(const DenseWork&, const T*, const T*, int64_t, int64_t,
                                    int64_t);

template <typename T, int... R>
struct AttendTiles {
  static constexpr AttendTileFunction<T> kOf[] = {nullptr, AttendTile<T, R>...};
};
template <typename T>
QS_INLINE AttendTileFunction<T> PickAttendTile(int64_t height) {
  if constexpr (kTileRows == 12) {
    return AttendTiles<T, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::kOf[height];
  } else if constexpr (kTileRows == 2) {
    return AttendTiles<T, 1, 2>::kOf[height];
  } else {
    return AttendTiles<T, 1, 2, 3, 4, 5, 6>::kOf[height];
  }
}

template <typename T>
void AttendTokens(const DenseWork& work, const Tiling& tiling, const T* keys, const T* values,
                  int64_t first, int64_t last) {
  for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
    PickAttendTile<T>(tiling.Height(tile))(work, keys, values, tiling.Begin(tile), first, last);
  }
}

// Values of a tile as floats, so that many tiles of rows need not convert them again.
inline void ConvertElements(const uint16_t* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += Words::kLanes) {
    Words::Store(to + i, Words::LoadF16(from + i));
  }
}

inline void AttendDense(const DenseWork& work) {
  const Tiling tiling(work.state.rows, kTileRows);
  const int64_t most = work.visible[work.state.rows - 1];
  const int64_t end = work.last < most ? work.last : most;
  for (int64_t first = FirstTile(work); first < end; first += kDenseTile) {
    const int64_t last = first + kDenseTile < end ? first + kDenseTile : end;
    const int64_t at = first * work.head_dim;
    if (work.type == KvType::kF32) {
      AttendTokens(work, tiling, reinterpret_cast<const float*>(work.keys) + at,
                   reinterpret_cast<const float*>(work.values) + at, first, last);
      continue;
    }
    const uint16_t* keys = reinterpret_cast<const uint16_t*>(work.keys) + at;
    const uint16_t* values = reinterpret_cast<const uint16_t*>(work.values) + at;
    if (tiling.tiles <= 2) {
      AttendTokens(work, tiling, keys, values, first, last);
      continue;
    }
    float* float_values = work.converted + kDenseTile * work.head_dim;
    ConvertElements(keys, RoundUp(last - first, kTokenBlock) * work.head_dim, work.converted);
    ConvertElements(values, (last - first) * work.head_dim, float_values);
    AttendTokens<float>(work, tiling, work.converted, float_values, first, last);
  }
}

}  // namespace quantspec::cpu::QS_ISA
