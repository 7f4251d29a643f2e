// Attention over dense f16 rows in products of bf16 pairs: half the instructions of float, for
// prefill. Over PairWords; after attention_dense-inl.h, whose softmax it shares. Queries, keys,
// values and weights are rounded to bf16 once each, sums stay float.

namespace quantspec::cpu::QS_ISA {

// Scores of R rows and B blocks of 16 tokens. q: [head_dim / 2][R], keys: [block][head_dim /
// 2][16].
template <int R, int B>
QS_INLINE void PairScores(const Pair* keys, const Pair* q, int pairs, float* scores) {
  F acc[B][R];
#pragma GCC unroll 4
  for (int b = 0; b < B; ++b) {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) acc[b][r] = Words::Zero();
  }
  for (int i = 0; i < pairs; ++i) {
    PairWords::Pairs k[B];
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) k[b] = PairWords::Load(keys + (b * pairs + i) * 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const PairWords::Pairs x = PairWords::Broadcast(q + i * R + r);
#pragma GCC unroll 4
      for (int b = 0; b < B; ++b) acc[b][r] = PairWords::Dot(acc[b][r], k[b], x);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) {
      Words::Store(scores + r * kDenseTile + b * Words::kLanes, acc[b][r]);
    }
  }
}

// Adds the values of 2 * pairs tokens, weighted, to V vectors of channels of R rows.
// values: [pairs][head_dim], weights: [R][kDenseTile / 2].
template <int R, int V>
QS_INLINE void AddPairValues(const Pair* values, const Pair* weights, const float* factor,
                             int pairs, int head_dim, float* sums) {
  F acc[V][R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      acc[v][r] = Words::Mul(Words::Load(sums + r * head_dim + v * Words::kLanes),
                             Words::Broadcast(factor + r));
    }
  }
  for (int i = 0; i < pairs; ++i) {
    PairWords::Pairs x[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) x[v] = PairWords::Load(values + i * head_dim + v * Words::kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const PairWords::Pairs w = PairWords::Broadcast(weights + r * (kDenseTile / 2) + i);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[v][r] = PairWords::Dot(acc[v][r], x[v], w);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Words::Store(sums + r * head_dim + v * Words::kLanes, acc[v][r]);
    }
  }
}

// Rounds a row of weights to pairs of neighbouring tokens.
QS_ROW_FUNCTION void RoundWeights(const float* weights, int width, Pair* out) {
  for (int t = 0; t < width; t += 2 * Words::kLanes)
    PairWords::StoreNeighbours(out + t / 2, weights + t);
}

// One tile of rows against one tile of tokens, the first of them token `first` of the segment.
template <int R>
void AttendPairTile(const DenseWork& work, const Pair* keys, const Pair* values, int64_t row,
                    int64_t first, int64_t last) {
  const int head_dim = work.head_dim;
  const int tokens = Clamp(work.visible[row + R - 1] - first, 0, last - first);
  if (tokens == 0 || FirstSeen(work, row) >= first + tokens) return;
  const int pairs = head_dim / 2;
  // Whole vectors of neighbours; tokens that no row sees have weight 0.
  const int width = static_cast<int>(RoundUp(tokens, 2 * Words::kLanes));
  const Pair* q = reinterpret_cast<const Pair*>(work.q) + row * pairs;
  alignas(64) float scores[R * kDenseTile];
  for (int t = 0; t < width; t += 32) {
    PairScores<R, 2>(keys + int64_t{t} * pairs, q, pairs, scores + t);
  }
  if (work.window > 0 || work.softcap > 0) AdjustScores(work, row, R, first, width, scores);
  TileSoftmax tile;
  BeginTile(tile, work.state, row, R);
  for (int r = 0; r < R; ++r) {
    const int seen = Clamp(work.visible[row + r] - first, 0, tokens);
    tile.new_max[r] = MaskRow(scores + r * kDenseTile, seen, width, tile.old_max[r]);
  }
  RescaleTile(tile, R);
  alignas(64) Pair weights[R * kDenseTile / 2];
  for (int r = 0; r < R; ++r) {
    tile.sum[r] = SoftmaxRow(scores + r * kDenseTile, width, tile.new_max[r]);
    RoundWeights(scores + r * kDenseTile, width, weights + r * (kDenseTile / 2));
  }
  EndTile(tile, work.state, row, R);
  float* sums = work.state.values + row * head_dim;
  const int value_pairs = (tokens + 1) / 2;
  int c = 0;
  for (; c + 2 * Words::kLanes <= head_dim; c += 2 * Words::kLanes) {
    AddPairValues<R, 2>(values + c, weights, tile.factor, value_pairs, head_dim, sums + c);
  }
  for (; c < head_dim; c += Words::kLanes) {
    AddPairValues<R, 1>(values + c, weights, tile.factor, value_pairs, head_dim, sums + c);
  }
}

using AttendPairTileFunction = void (*)(const DenseWork&, const Pair*, const Pair*, int64_t,
                                        int64_t, int64_t);
template <int... R>
struct AttendPairTiles {
  static constexpr AttendPairTileFunction kOf[] = {nullptr, AttendPairTile<R>...};
};
inline constexpr const AttendPairTileFunction* kAttendPairTiles =
    AttendPairTiles<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::kOf;
static_assert(kTileRows == 12);

// [block of 16 tokens][channel][16] to [block][channel / 2][16] pairs.
inline void PairKeys(const uint16_t* keys, int64_t tokens, int head_dim, Pair* out) {
  for (int64_t i = 0; i < CeilDiv(tokens, kTokenBlock) * (head_dim / 2); ++i) {
    const uint16_t* from = keys + i * 2 * kTokenBlock;
    PairWords::Store(out + i * kTokenBlock, Words::LoadF16(from),
                     Words::LoadF16(from + kTokenBlock));
  }
}

// [token][channel] to [token / 2][channel] pairs; after an odd last token stand zeros.
inline void PairValues(const uint16_t* values, int64_t tokens, int head_dim, Pair* out) {
  for (int64_t token = 0; token < tokens; token += 2) {
    const uint16_t* from = values + token * head_dim;
    for (int c = 0; c < head_dim; c += Words::kLanes) {
      const F next = token + 1 < tokens ? Words::LoadF16(from + head_dim + c) : Words::Zero();
      PairWords::Store(out + token / 2 * head_dim + c, Words::LoadF16(from + c), next);
    }
  }
}

inline void AttendPairs(const DenseWork& work) {
  const int head_dim = work.head_dim;
  const Tiling tiling(work.state.rows, kTileRows);
  const int64_t most = work.visible[work.state.rows - 1];
  const int64_t end = work.last < most ? work.last : most;
  Pair* keys = reinterpret_cast<Pair*>(work.converted);
  Pair* values = keys + kDenseTile * head_dim / 2;
  for (int64_t first = FirstTile(work); first < end; first += kDenseTile) {
    const int64_t last = first + kDenseTile < end ? first + kDenseTile : end;
    const int64_t at = first * head_dim;
    PairKeys(reinterpret_cast<const uint16_t*>(work.keys) + at, last - first, head_dim, keys);
    PairValues(reinterpret_cast<const uint16_t*>(work.values) + at, last - first, head_dim, values);
    for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
      kAttendPairTiles[tiling.Height(tile)](work, keys, values, tiling.Begin(tile), first, last);
    }
  }
}

// As PackTiles, but each tile is [head_dim / 2][rows of the tile] pairs.
inline void PackPairs(const float* q, int64_t stride, int gqa, int64_t rows, int head_dim,
                      float factor, float* out) {
  const F wide = Words::Set(factor);
  const Tiling tiling(rows, kTileRows);
  const int pairs = head_dim / 2;
  alignas(64) float scaled[256 + 2 * Words::kLanes] = {};
  alignas(64) Pair packed[128 + Words::kLanes];
  Pair* tiles = reinterpret_cast<Pair*>(out);
  for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
    const int64_t begin = tiling.Begin(tile);
    const int64_t height = tiling.Height(tile);
    for (int64_t row = begin; row < begin + height; ++row) {
      PackRow(q + row / gqa * stride + row % gqa * head_dim, head_dim, wide, scaled);
      RoundWeights(scaled, head_dim, packed);
      Pair* target = tiles + begin * pairs + (row - begin);
      for (int i = 0; i < pairs; ++i) target[i * height] = packed[i];
    }
  }
}

constexpr AttentionKernels WithPairs(AttentionKernels kernels) {
  kernels.pack_pairs = PackPairs;
  kernels.pairs = AttendPairs;
  return kernels;
}
inline constexpr AttentionKernels kPairAttentionKernels = WithPairs(kAttentionKernels);

}  // namespace quantspec::cpu::QS_ISA
