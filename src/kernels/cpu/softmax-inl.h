// Softmax states over the words of one instruction set. Steps over rows are kept out of line: they
// need all registers for themselves.

namespace quantspec::cpu::QS_ISA {

#define QS_ROW_FUNCTION __attribute__((noinline)) static

// 2^x for x <= 100 within 2 units in the last place, exactly 1 at 0; 0 below -150. The polynomial
// is Taylor's: |r| <= 1/2 leaves 1.2e-7 after the sixth power.
QS_INLINE F Exp2(F x) {
  x = Words::Max(x, Words::Set(-160.0f));
  const F n = Words::Round(x);
  const F r = Words::Sub(x, n);
  F p = Words::Set(1.54035304e-4f);
  p = Words::Fma(p, r, Words::Set(1.33335581e-3f));
  p = Words::Fma(p, r, Words::Set(9.61812911e-3f));
  p = Words::Fma(p, r, Words::Set(5.55041087e-2f));
  p = Words::Fma(p, r, Words::Set(2.40226507e-1f));
  p = Words::Fma(p, r, Words::Set(6.93147181e-1f));
  p = Words::Fma(p, r, Words::Set(1.0f));
  return Words::Scale2(p, n);
}

// cap tanh(x / cap), by its exponential.
QS_INLINE F Capped(F x, F cap) {
  // 2 log2(e), to the base that exponentials are taken to.
  const F twice = Words::Div(Words::Mul(x, Words::Set(2.88539008f)), cap);
  const F power = Exp2(Words::Min(twice, Words::Set(100.0f)));
  return Words::Sub(cap, Words::Div(Words::Add(cap, cap), Words::Add(power, Words::Set(1.0f))));
}

// Caps a row of scores.
QS_ROW_FUNCTION void CapRow(float* scores, int width, float cap) {
  const F wide = Words::Set(cap);
  for (int t = 0; t < width; t += Words::kLanes) {
    Words::Store(scores + t, Capped(Words::Load(scores + t), wide));
  }
}

// Rows worked on together: a tile's accumulators fill the registers.
inline constexpr int kTileRows = Words::kRegisters == 32 ? 12 : Words::kRegisters == 16 ? 6 : 2;
inline constexpr int kAccumulators = Words::kRegisters == 8 ? 8 : 2 * kTileRows;

// What a tile of rows carries from its scores to its values.
struct TileSoftmax {
  alignas(64) float old_max[16];
  alignas(64) float new_max[16];
  alignas(64) float factor[16];  // 2^(old - new)
  alignas(64) float sum[16];
};

// Fetches the old maxima; new_max must then be set for every row.
QS_INLINE void BeginTile(TileSoftmax& tile, const SoftmaxState& state, int64_t row, int rows) {
  for (int r = 0; r < rows; ++r) tile.old_max[r] = state.max[row + r];
}

// Sets `factor` from the maxima, for all rows at once.
QS_ROW_FUNCTION void RescaleTile(TileSoftmax& tile, int rows) {
  for (int r = rows; r < 16; ++r) tile.old_max[r] = tile.new_max[r] = 0.0f;
  for (int r = 0; r < 16; r += Words::kLanes) {
    const F difference = Words::Sub(Words::Load(tile.old_max + r), Words::Load(tile.new_max + r));
    Words::Store(tile.factor + r, Exp2(difference));
  }
}

// Takes over the new maxima and adds the sums.
QS_ROW_FUNCTION void EndTile(TileSoftmax& tile, const SoftmaxState& state, int64_t row, int rows) {
  float old_sum[16];
  for (int r = 0; r < 16; ++r) old_sum[r] = r < rows ? state.sum[row + r] : 0.0f;
  for (int r = rows; r < 16; ++r) tile.sum[r] = 0.0f;
  for (int r = 0; r < 16; r += Words::kLanes) {
    Words::Store(old_sum + r, Words::Fma(Words::Load(old_sum + r), Words::Load(tile.factor + r),
                                         Words::Load(tile.sum + r)));
  }
  for (int r = 0; r < rows; ++r) {
    state.max[row + r] = tile.new_max[r];
    state.sum[row + r] = old_sum[r];
  }
}

// -------------------------------------------------------------------------- whole states

QS_ROW_FUNCTION void PackRow(const float* q, int head_dim, F factor, float* out) {
  for (int c = 0; c < head_dim; c += Words::kLanes) {
    Words::Store(out + c, Words::Mul(Words::Load(q + c), factor));
  }
}

inline void PackRows(const float* q, int64_t stride, int gqa, int64_t rows, int head_dim,
                     float factor, float* out) {
  const F wide = Words::Set(factor);
  for (int64_t row = 0; row < rows; ++row) {
    PackRow(q + row / gqa * stride + row % gqa * head_dim, head_dim, wide, out + row * head_dim);
  }
}

inline void PackTiles(const float* q, int64_t stride, int gqa, int64_t rows, int head_dim,
                      float factor, float* out) {
  const F wide = Words::Set(factor);
  const Tiling tiling(rows, kTileRows);
  float packed[256];
  for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
    const int64_t begin = tiling.Begin(tile);
    const int64_t height = tiling.Height(tile);
    for (int64_t row = begin; row < begin + height; ++row) {
      PackRow(q + row / gqa * stride + row % gqa * head_dim, head_dim, wide, packed);
      float* target = out + begin * head_dim + (row - begin);
      for (int c = 0; c < head_dim; ++c) target[c * height] = packed[c];
    }
  }
}

inline void ClearState(const SoftmaxState& state, int head_dim) {
  for (int64_t i = 0; i < state.padded; i += Words::kLanes) {
    Words::Store(state.max + i, Words::Set(kNoScore));
    Words::Store(state.sum + i, Words::Zero());
  }
  for (int64_t i = 0; i < state.rows * head_dim; i += Words::kLanes) {
    Words::Store(state.values + i, Words::Zero());
  }
}

inline void MergeStates(const SoftmaxState& total, const SoftmaxState& part, int head_dim) {
  alignas(64) float keep[16];
  alignas(64) float take[16];
  for (int64_t first = 0; first < total.padded; first += Words::kLanes) {
    const F a = Words::Load(total.max + first);
    const F b = Words::Load(part.max + first);
    const F max = Words::Max(a, b);
    const F keep_factor = Exp2(Words::Sub(a, max));
    const F take_factor = Exp2(Words::Sub(b, max));
    Words::Store(total.max + first, max);
    Words::Store(total.sum + first,
                 Words::Fma(Words::Load(total.sum + first), keep_factor,
                            Words::Mul(Words::Load(part.sum + first), take_factor)));
    Words::Store(keep, keep_factor);
    Words::Store(take, take_factor);
    for (int r = 0; r < Words::kLanes && first + r < total.rows; ++r) {
      float* sums = total.values + (first + r) * head_dim;
      const float* added = part.values + (first + r) * head_dim;
      for (int c = 0; c < head_dim; c += Words::kLanes) {
        Words::Store(sums + c,
                     Words::Fma(Words::Load(sums + c), Words::Broadcast(keep + r),
                                Words::Mul(Words::Load(added + c), Words::Broadcast(take + r))));
      }
    }
  }
}

inline void FinishState(const SoftmaxState& total, int gqa, int head_dim, float* out,
                        int64_t stride) {
  for (int64_t row = 0; row < total.rows; ++row) {
    const F inverse = Words::Div(Words::Set(1.0f), Words::Broadcast(total.sum + row));
    float* target = out + row / gqa * stride + row % gqa * head_dim;
    for (int c = 0; c < head_dim; c += Words::kLanes) {
      Words::Store(target + c, Words::Mul(Words::Load(total.values + row * head_dim + c), inverse));
    }
  }
}

}  // namespace quantspec::cpu::QS_ISA
