// Attention over dense f16 rows in products of tiles of bf16: as attention_pairs-inl.h, whose
// conversions and softmax it shares, for 16 rows at once. Over TileWords.

namespace quantspec::cpu::QS_ISA {

inline constexpr int kChannelStep = 2 * TileWords::kPairs;  // channels of one product of tiles
inline constexpr int kTileBlocks = kDenseTile / kTokenBlock;
inline constexpr int kWeightPairs = kDenseTile / 2;  // of a row's weights

// Pairs of channels, filled up with zeros to whole products.
QS_INLINE int PaddedPairs(int head_dim) {
  return static_cast<int>(RoundUp(head_dim, kChannelStep)) / 2;
}

// Scores of 16 rows and block b of 16 tokens. keys: [block][step][16 pairs][16 tokens], q:
// [step][16 rows][16 pairs]. Blocks have sums of their own, so that none waits for another.
template <int b = 0>
QS_INLINE void ScoreStep(const Pair* keys, int64_t block_pairs) {
  TileWords::Load<5 + b % 3>(keys + b * block_pairs, 4 * TileWords::kPairs);
  TileWords::Dot<b, 4, 5 + b % 3>();
  if constexpr (b + 1 < kTileBlocks) ScoreStep<b + 1>(keys, block_pairs);
}
template <int b = 0>
QS_INLINE void ClearTiles() {
  TileWords::Zero<b>();
  if constexpr (b + 1 < kTileBlocks) ClearTiles<b + 1>();
}
template <int b = 0>
QS_INLINE void StoreTiles(float* to, int64_t stride) {
  TileWords::Store<b>(to + b * kTokenBlock, stride);
  if constexpr (b + 1 < kTileBlocks) StoreTiles<b + 1>(to, stride);
}

// All scores of a tile of tokens: [16 rows][kDenseTile].
QS_INLINE void TileScores(const Pair* keys, const Pair* q, int pairs, float* scores) {
  ClearTiles();
  for (int i = 0; i < pairs; i += TileWords::kPairs) {
    TileWords::Load<4>(q + i * TileWords::kRows, 4 * TileWords::kPairs);
    ScoreStep(keys + i * kTokenBlock, int64_t{pairs} * kTokenBlock);
  }
  StoreTiles(scores, 4 * kDenseTile);
}

// Adds the weighted values of all tokens to V vectors of channels of 16 rows. values: [pair of
// tokens][head_dim], weights: [16][kWeightPairs].
template <int V, int v = 0>
QS_INLINE void LoadSums(const float* sums, int64_t stride) {
  TileWords::Load<v>(sums + v * Words::kLanes, stride);
  if constexpr (v + 1 < V) LoadSums<V, v + 1>(sums, stride);
}
template <int V, int v = 0>
QS_INLINE void StoreSums(float* sums, int64_t stride) {
  TileWords::Store<v>(sums + v * Words::kLanes, stride);
  if constexpr (v + 1 < V) StoreSums<V, v + 1>(sums, stride);
}
template <int V, int v = 0>
QS_INLINE void ValueStep(const Pair* values, int64_t stride) {
  TileWords::Load<5 + v % 3>(values + v * Words::kLanes, stride);
  TileWords::Dot<v, 4, 5 + v % 3>();
  if constexpr (v + 1 < V) ValueStep<V, v + 1>(values, stride);
}
template <int V>
QS_INLINE void AddTileValues(const Pair* values, const Pair* weights, int token_pairs, int head_dim,
                             float* sums) {
  const int64_t stride = 4 * int64_t{head_dim};
  LoadSums<V>(sums, stride);
  for (int i = 0; i < token_pairs; i += TileWords::kPairs) {
    TileWords::Load<4>(weights + i, 4 * kWeightPairs);
    ValueStep<V>(values + int64_t{i} * head_dim, stride);
  }
  StoreSums<V>(sums, stride);
}

// 2^(x + 1) for x <= -1, in units of 2^-23, within 7.5e-5: a twentieth of what rounding to bf16
// costs. As 2^-124 below that. As Exp2Coarse, of degree 3.
QS_INLINE F Exp2Half(F x) {
  const I fixed = Words::ToInt(Words::MaxNegative(x, Words::Set(-125.0f * kExp2Unit)));
  const F u = Words::MantissaOf(fixed);
  F p = Words::Fma(Words::Set(0.07802436f), u, Words::Set(-0.00800578f));
  p = Words::Fma(p, u, Words::Set(-0.52222801f));
  p = Words::Fma(p, u, Words::Set(2.45213464f));
  return Words::AddBits(p, fixed);
}

// Makes weights of scores, those in [from, seen) of `width`; returns their sum.
QS_ROW_FUNCTION float SoftmaxHalfRow(const float* scores, int from, int seen, int width, float max,
                                     Pair* out) {
  const F unit = Words::Set(kExp2Unit);
  const F shift = Words::Set((-max - 1.0f) * kExp2Unit);
  F sum = Words::Zero();
  for (int t = 0; t < width; t += 2 * Words::kLanes) {
    F p[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const int at = t + i * Words::kLanes;
      p[i] = Exp2Half(Words::Fma(Words::Load(scores + at), unit, shift));
      if (at + Words::kLanes > seen) p[i] = TileWords::First(p[i], seen - at);
      if (at < from) p[i] = Words::Sub(p[i], TileWords::First(p[i], from - at));
      sum = Words::Add(sum, p[i]);
    }
    PairWords::StoreNeighbours(out + t / 2, p[0], p[1]);
  }
  return Words::Sum(sum);
}

// to = from * factor, row by row.
QS_ROW_FUNCTION void RescaleSums(const float* from, const float* factor, int rows, int head_dim,
                                 float* to) {
  for (int r = 0; r < rows; ++r) {
    const F f = Words::Broadcast(factor + r);
    for (int c = r * head_dim; c < (r + 1) * head_dim; c += Words::kLanes) {
      Words::Store(to + c, Words::Mul(Words::Load(from + c), f));
    }
  }
}

// A tile of tokens, the first of them token `first` of the segment, as pairs.
struct TokenTile {
  const Pair* keys;
  const Pair* values;
  int64_t first;
  int64_t count;
};

// A tile of up to 16 rows that looks at a tile of tokens.
struct RowTile {
  int64_t row;
  int rows;
  int width;  // of the scores: tokens that a row sees, rounded up
  alignas(64) float factor[TileWords::kRows];
  alignas(64) float scores[TileWords::kRows * kDenseTile];
  alignas(64) Pair weights[TileWords::kRows * kWeightPairs];
};

QS_INLINE void ScoreRows(const DenseWork& work, const TokenTile& tokens, int64_t row, RowTile& to) {
  const int pairs = PaddedPairs(work.head_dim);
  to.row = row;
  to.rows = Clamp(work.state.rows - row, 0, TileWords::kRows);
  TileScores(tokens.keys, reinterpret_cast<const Pair*>(work.q) + row * pairs, pairs, to.scores);
}

// Makes weights of scores and takes them into the state's maxima and sums.
inline void SoftmaxTile(const DenseWork& work, const TokenTile& tokens, RowTile& rows) {
  const int32_t* visible = work.visible + rows.row;
  const int most = Clamp(visible[rows.rows - 1] - tokens.first, 0, tokens.count);
  rows.width = static_cast<int>(RoundUp(most, 2 * Words::kLanes));
  if (work.window > 0 || work.softcap > 0) {
    AdjustScores(work, rows.row, rows.rows, tokens.first, rows.width, rows.scores);
  }
  TileSoftmax tile;
  int seen[TileWords::kRows];
  BeginTile(tile, work.state, rows.row, rows.rows);
  for (int r = 0; r < rows.rows; ++r) {
    seen[r] = Clamp(visible[r] - tokens.first, 0, most);
    tile.new_max[r] = MaskRow(rows.scores + r * kDenseTile, seen[r], rows.width, tile.old_max[r]);
  }
  RescaleTile(tile, rows.rows);
  for (int r = 0; r < rows.rows; ++r) {
    const int from = Clamp(FirstSeen(work, rows.row + r) - tokens.first, 0, most);
    tile.sum[r] = SoftmaxHalfRow(rows.scores + r * kDenseTile, from, seen[r], rows.width,
                                 tile.new_max[r], rows.weights + r * kWeightPairs);
  }
  EndTile(tile, work.state, rows.row, rows.rows);
  Words::Store(rows.factor, Words::Load(tile.factor));
}

// Adds the weighted values to the state's.
inline void AddRows(const DenseWork& work, const TokenTile& tokens, const RowTile& rows) {
  const int head_dim = work.head_dim;
  // A tile is loaded and stored whole: rows that are not there need a place.
  alignas(64) float whole[TileWords::kRows * 256];
  float* state = work.state.values + rows.row * head_dim;
  float* sums = rows.rows == TileWords::kRows ? state : whole;
  if (sums != state || !TileWords::AreOnes(rows.factor)) {
    RescaleSums(state, rows.factor, rows.rows, head_dim, sums);
  }
  int c = 0;
  for (; c + 4 * Words::kLanes <= head_dim; c += 4 * Words::kLanes) {
    AddTileValues<4>(tokens.values + c, rows.weights, rows.width / 2, head_dim, sums + c);
  }
  for (; c < head_dim; c += Words::kLanes) {
    AddTileValues<1>(tokens.values + c, rows.weights, rows.width / 2, head_dim, sums + c);
  }
  if (sums == state) return;
  for (int i = 0; i < rows.rows * head_dim; i += Words::kLanes) {
    Words::Store(state + i, Words::Load(sums + i));
  }
}

// All rows against one tile of tokens. A tile of rows multiplies its scores between the weights and
// the values of the one before, because a tile that is loaded waits long for what was just stored.
inline void AttendTokenTile(const DenseWork& work, const TokenTile& tokens) {
  int64_t end = RoundUp(work.state.rows, TileWords::kRows);
  int64_t row = 0;
  while (row + TileWords::kRows < work.state.rows &&
         work.visible[row + TileWords::kRows - 1] <= tokens.first) {
    row += TileWords::kRows;
  }
  while (row + TileWords::kRows < end &&
         FirstSeen(work, end - TileWords::kRows) >= tokens.first + tokens.count) {
    end -= TileWords::kRows;
  }
  RowTile rows[2];
  int now = 0;
  ScoreRows(work, tokens, row, rows[now]);
  for (; row < end; row += TileWords::kRows, now = 1 - now) {
    SoftmaxTile(work, tokens, rows[now]);
    const int64_t next = row + TileWords::kRows;
    if (next < end) ScoreRows(work, tokens, next, rows[1 - now]);
    AddRows(work, tokens, rows[now]);
  }
}

// As PairKeys and PairValues, for a whole tile of tokens, with zeros where there is nothing.
inline void PairTileKeys(const uint16_t* keys, int64_t tokens, int head_dim, Pair* out) {
  const int pairs = PaddedPairs(head_dim);
  for (int64_t block = 0; block < kTileBlocks; ++block, out += pairs * kTokenBlock) {
    const bool live = block * kTokenBlock < tokens;
    if (live) PairKeys(keys + block * kTokenBlock * head_dim, kTokenBlock, head_dim, out);
    for (int i = live ? head_dim / 2 : 0; i < pairs; ++i) {
      Words::StoreInt(out + i * kTokenBlock, Words::ZeroInt());
    }
  }
}
inline void PairTileValues(const uint16_t* values, int64_t tokens, int head_dim, Pair* out) {
  PairValues(values, tokens, head_dim, out);
  for (int64_t i = (tokens + 1) / 2 * head_dim; i < kWeightPairs * head_dim; i += Words::kLanes) {
    Words::StoreInt(out + i, Words::ZeroInt());
  }
}

inline void AttendHalves(const DenseWork& work) {
  const int head_dim = work.head_dim;
  const int64_t most = work.visible[work.state.rows - 1];
  const int64_t end = work.last < most ? work.last : most;
  Pair* keys = reinterpret_cast<Pair*>(work.converted);
  Pair* values = keys + kDenseTile * PaddedPairs(head_dim);
  const TileScope scope;
  for (int64_t first = FirstTile(work); first < end; first += kDenseTile) {
    const int64_t last = first + kDenseTile < end ? first + kDenseTile : end;
    const int64_t at = first * head_dim;
    PairTileKeys(reinterpret_cast<const uint16_t*>(work.keys) + at, last - first, head_dim, keys);
    PairTileValues(reinterpret_cast<const uint16_t*>(work.values) + at, last - first, head_dim,
                   values);
    AttendTokenTile(work, {keys, values, first, last - first});
  }
}

// Queries as pairs: [tile of 16 rows][step][16 rows][16 pairs], zeros beyond the last row and
// channel.
inline void PackHalfQueries(const float* q, int64_t stride, int gqa, int64_t rows, int head_dim,
                            float factor, float* out) {
  const F wide = Words::Set(factor);
  const int pairs = PaddedPairs(head_dim);
  alignas(64) float scaled[256 + kChannelStep] = {};
  for (int64_t row = 0; row < RoundUp(rows, TileWords::kRows); ++row) {
    if (row < rows) PackRow(q + row / gqa * stride + row % gqa * head_dim, head_dim, wide, scaled);
    Pair* target = reinterpret_cast<Pair*>(out) +
                   row / TileWords::kRows * TileWords::kRows * pairs +
                   row % TileWords::kRows * TileWords::kPairs;
    for (int i = 0; i < pairs; i += TileWords::kPairs) {
      if (row < rows) {
        PairWords::StoreNeighbours(target + i * TileWords::kRows, scaled + 2 * i);
      } else {
        Words::StoreInt(target + i * TileWords::kRows, Words::ZeroInt());
      }
    }
  }
}

constexpr AttentionKernels WithTiles(AttentionKernels kernels) {
  kernels.pack_pairs = PackHalfQueries;
  kernels.pairs = AttendHalves;
  return kernels;
}
inline constexpr AttentionKernels kTileAttentionKernels = WithTiles(kPairAttentionKernels);

}  // namespace quantspec::cpu::QS_ISA
