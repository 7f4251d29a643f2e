// Attention over sealed groups, on codes: integer dot products, scales applied around them.
//
// Keys: score = sum_c (q_c S_c) (code_c - centre) step + sum_c q_c M_c, where M = Z + 7.5 S is the
// middle of the range, step 1 and centre 7.5 for the upper plane alone, 1/16 and 128 for both.
// Only q_c S_c is rounded, to 8 bits a row and group, and its error meets centred codes. Values
// likewise, with p_t S_t, to 7 bits (the signed side of the dot product is never negative here).
// Few rows: bound by memory. Many: by the dot products, 2 * head_dim / 4 vectors a row and group.

namespace quantspec::cpu::QS_ISA {

QS_INLINE float* LanesOf(const SealedWork& work, int64_t row) {
  return work.lanes + row * kLaneSums * Words::kLanes;
}

// Scales and middles of a group as floats.
struct GroupScales {
  alignas(64) float key_scale[256];
  alignas(64) float key_middle[256];
  alignas(64) float value_scale[2 * kKvGroup];
  alignas(64) float value_middle[2 * kKvGroup];
};

QS_INLINE void LoadScales(const uint16_t* scales, const uint16_t* zeros, int count, float* scale,
                          float* middle) {
  for (int i = 0; i < count; i += Words::kLanes) {
    const F s = Words::LoadF16(scales + i);
    Words::Store(scale + i, s);
    Words::Store(middle + i, Words::Fma(s, Words::Set(7.5f), Words::LoadF16(zeros + i)));
  }
}

// How many groups ahead scales are fetched: short reads far apart in time, which the hardware does
// not fetch ahead by itself (11 % at one token and one plane).
inline constexpr int kScalesAhead = 2;

// ------------------------------------------------------------------------------ row steps

// 2^x for x up to about 0 within 8e-5, a fiftieth of what rounding the weights costs; the smallest
// normal number or so below -125. The polynomial is the minimax one of degree 3 on [-1/2, 1/2].
// Adding kShift leaves the nearest whole number in the low bits of the sum.
QS_INLINE F Exp2Coarse(F x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  x = Words::Max(x, Words::Set(-125.0f));
  const F shifted = Words::Add(x, Words::Set(kShift));
  const F r = Words::Sub(x, Words::Sub(shifted, Words::Set(kShift)));
  F p = Words::Set(5.517167e-2f);
  p = Words::Fma(p, r, Words::Set(2.4261112e-1f));
  p = Words::Fma(p, r, Words::Set(6.9326099e-1f));
  p = Words::Fma(p, r, Words::Set(9.9992807e-1f));
  return Words::AddExponent(p, shifted);
}

// Rounds q_c S_c of N rows to 8 bits. A row below 1e-30 counts as zeros but for its exact part.
// Rows are worked on side by side here and in WeighRows, since each waits for its own largest
// number: 5 % of attention on AVX-512, 15 % on AVX2.
template <int N, int R>
QS_ROW_FUNCTION void QuantizeQueries(const float* q, const GroupScales& group, int head_dim,
                                     float center, float step, SealedTileMemory<R>& tile, int row) {
  alignas(64) float scaled[N][256];
  F most[N], exact[N], inverse[N];
  I sum[N];
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) most[n] = exact[n] = Words::Zero();
  for (int c = 0; c < head_dim; c += Words::kLanes) {
    const F key_scale = Words::Load(group.key_scale + c);
    const F middle = Words::Load(group.key_middle + c);
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
      const F x = Words::Load(q + (row + n) * head_dim + c);
      const F s = Words::Mul(x, key_scale);
      Words::Store(scaled[n] + c, s);
      most[n] = Words::Max(most[n], Words::Abs(s));
      exact[n] = Words::Fma(x, middle, exact[n]);
    }
  }
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) {
    const float max = Words::MaxOf(most[n]);
    inverse[n] = Words::Set(max > 1e-30f ? 127.0f / max : 0.0f);
    tile.q_scale[row + n] = max > 1e-30f ? max * (step / 127.0f) : 0.0f;
    sum[n] = Words::ZeroInt();
  }
  for (int c = 0; c < head_dim; c += Words::kLanes) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
      const I x = Words::ToInt(Words::Mul(Words::Load(scaled[n] + c), inverse[n]));
      Words::StoreBytes(tile.q[row + n] + c, x);
      sum[n] = Words::AddInt(sum[n], x);
    }
  }
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) {
    const F offset = Words::Set(-tile.q_scale[row + n] * center);
    tile.q_base[row + n] = Words::Sum(Words::Fma(Words::ToFloat(sum[n]), offset, exact[n]));
  }
}

// Rounds weights p_t S_t to 7 bits; lanes of what all channels of the value group share.
QS_INLINE F QuantizeWeights(const F* scaled, F most, F exact, float center, float step, int8_t* out,
                            float* scale) {
  const float max = Words::MaxOf(most);
  const F inverse = Words::Set(max > 1e-30f ? 127.0f / max : 0.0f);
  *scale = max > 1e-30f ? max * (step / 127.0f) : 0.0f;
  I sum = Words::ZeroInt();
#pragma GCC unroll 8
  for (int i = 0; i < kKvGroup / Words::kLanes; i += 4) {
    I w[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      w[j] = Words::ToInt(Words::Mul(scaled[i + j], inverse));
      sum = Words::AddInt(sum, w[j]);
    }
    Words::Store4Bytes(out + i * Words::kLanes, w);
  }
  return Words::Fma(Words::ToFloat(sum), Words::Set(-*scale * center), exact);
}

// One value group's weights of N rows: p_t S_t, rounded, and their offset.
template <int N, int R>
QS_INLINE void WeighPart(const F (*p)[kKvGroup / Words::kLanes], const GroupScales& group, int part,
                         float center, float step, SealedTileMemory<R>& tile, int row) {
  constexpr int kVectors = kKvGroup / Words::kLanes;
  F scaled[N][kVectors], most[N], exact[N];
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) most[n] = exact[n] = Words::Zero();
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i) {
    const F s = Words::Load(group.value_scale + part * kKvGroup + i * Words::kLanes);
    const F middle = Words::Load(group.value_middle + part * kKvGroup + i * Words::kLanes);
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
      scaled[n][i] = Words::Mul(p[n][i], s);
      most[n] = Words::Max(most[n], scaled[n][i]);
      exact[n] = Words::Fma(p[n][i], middle, exact[n]);
    }
  }
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) {
    Words::Store(tile.lanes[row + n] + (1 + part) * Words::kLanes,
                 QuantizeWeights(scaled[n], most[n], exact[n], center, step,
                                 tile.weights[row + n][part], &tile.weight_scale[row + n][part]));
  }
}

// Dot products of N rows' keys to their weights, largest scores and sums over lanes: the weights',
// then the offset of each value group.
template <int N, int R>
QS_ROW_FUNCTION void WeighRows(const GroupScales& group, int parts, float center, float step,
                               SealedTileMemory<R>& tile, int row) {
  constexpr int kVectors = kKvGroup / Words::kLanes;
  F x[N][kVectors], most[N], sum[N], scale[N], shift[N];
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) {
    most[n] = x[n][0] = Words::ToFloat(Words::LoadInt(tile.dots[row + n]));
  }
#pragma GCC unroll 16
  for (int i = 1; i < kVectors; ++i) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
      x[n][i] = Words::ToFloat(Words::LoadInt(tile.dots[row + n] + i * Words::kLanes));
      most[n] = Words::Max(most[n], x[n][i]);
    }
  }
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) {
    const float max = Words::MaxOf(most[n]) * tile.q_scale[row + n];
    tile.max[row + n] = tile.q_base[row + n] + max;
    scale[n] = Words::Set(tile.q_scale[row + n]);
    shift[n] = Words::Set(-max);
    sum[n] = Words::Zero();
  }
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i) {
#pragma GCC unroll 2
    for (int n = 0; n < N; ++n) {
      x[n][i] = Exp2Coarse(Words::Fma(x[n][i], scale[n], shift[n]));
      sum[n] = Words::Add(sum[n], x[n][i]);
    }
  }
#pragma GCC unroll 2
  for (int n = 0; n < N; ++n) Words::Store(tile.lanes[row + n], sum[n]);
  WeighPart<N>(x, group, 0, center, step, tile, row);
  if (parts == 2) WeighPart<N>(x, group, 1, center, step, tile, row);
}

// The factors that bring the states so far and this group to one maximum.
template <int R>
QS_INLINE void BalanceTile(SealedTileMemory<R>& tile, float* state_max) {
  static_assert(R < Words::kLanes);
  const F old_max = Words::LoadPart(state_max, R);
  const F group_max = Words::LoadPart(tile.max, R);
  const F max = Words::Max(old_max, group_max);
  Words::Store(tile.keep, Exp2(Words::Sub(old_max, max)));
  Words::Store(tile.take, Exp2(Words::Sub(group_max, max)));
  Words::StorePart(state_max, max, R);
}

// Adds a row's group to its sums: dots * scale to `values`, `group_lanes` to `lanes`.
QS_ROW_FUNCTION void AddGroup(const int32_t* dots, const float* weight_scale,
                              const float* group_lanes, float keep, float take, int head_dim,
                              float* values, float* lanes) {
  const F wide_keep = Words::Set(keep);
  const F wide_take = Words::Set(take);
  const int parts = ValueGroups(head_dim);
  for (int i = 0; i < (1 + parts) * Words::kLanes; i += Words::kLanes) {
    Words::Store(lanes + i, Words::Fma(Words::Load(group_lanes + i), wide_take,
                                       Words::Mul(Words::Load(lanes + i), wide_keep)));
  }
  for (int c = 0; c < head_dim; c += Words::kLanes) {
    const F s = Words::Set(weight_scale[c / kKvGroup] * take);
    Words::Store(values + c, Words::Fma(Words::ToFloat(Words::LoadInt(dots + c)), s,
                                        Words::Mul(Words::Load(values + c), wide_keep)));
  }
}

// ---------------------------------------------------------------------------------- tiles

template <bool kBoth, int R>
void SealedTile(const SealedWork& work, const SealedGroup& group, const GroupScales& scales,
                int64_t row) {
  using C = Codes<kBoth>;
  const int head_dim = work.head_dim;
  const int parts = ValueGroups(head_dim);
  SealedTileMemory<R> tile;
  const float* q = work.q + row * head_dim;
  if constexpr (R > 1) {
    for (int r = 0; r + 1 < R; r += 2) {
      QuantizeQueries<2>(q, scales, head_dim, C::kCenter, C::kStep, tile, r);
    }
  }
  if constexpr (R % 2 != 0) {
    QuantizeQueries<1>(q, scales, head_dim, C::kCenter, C::kStep, tile, R - 1);
  }
  KeyDots<kBoth, R>(group.upper, group.lower, head_dim, tile);
  if constexpr (R > 1) {
    for (int r = 0; r + 1 < R; r += 2) WeighRows<2>(scales, parts, C::kCenter, C::kStep, tile, r);
  }
  if constexpr (R % 2 != 0) WeighRows<1>(scales, parts, C::kCenter, C::kStep, tile, R - 1);
  BalanceTile<R>(tile, work.state.max + row);
  const int64_t values_at = KeyCodeBytes(head_dim);
  ValueDots<kBoth, R>(group.upper + values_at, kBoth ? group.lower + values_at : nullptr, head_dim,
                      tile);
  for (int r = 0; r < R; ++r) {
    AddGroup(tile.dots[r], tile.weight_scale[r], tile.lanes[r], tile.keep[r], tile.take[r],
             head_dim, work.state.values + (row + r) * head_dim, LanesOf(work, row + r));
  }
}

using SealedTileFunction = void (*)(const SealedWork&, const SealedGroup&, const GroupScales&,
                                    int64_t);

template <bool kBoth, int... R>
struct SealedTiles {
  static constexpr SealedTileFunction kOf[] = {nullptr, SealedTile<kBoth, R>...};
};
template <bool kBoth>
QS_INLINE SealedTileFunction PickSealedTile(int64_t height) {
  if constexpr (kTileRows == 12) {
    return SealedTiles<kBoth, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::kOf[height];
  } else if constexpr (kTileRows == 2) {
    return SealedTiles<kBoth, 1, 2>::kOf[height];
  } else {
    return SealedTiles<kBoth, 1, 2, 3, 4, 5, 6>::kOf[height];
  }
}

// Joins the sums over lanes with the state.
inline void SettleLanes(const SealedWork& work) {
  for (int64_t row = 0; row < work.state.rows; ++row) {
    const float* lanes = LanesOf(work, row);
    work.state.sum[row] = Words::Sum(Words::Load(lanes));
    float* values = work.state.values + row * work.head_dim;
    F offset = Words::Zero();
    for (int c = 0; c < work.head_dim; c += Words::kLanes) {
      if (c % kKvGroup == 0) {
        offset = Words::Set(Words::Sum(Words::Load(lanes + (1 + c / kKvGroup) * Words::kLanes)));
      }
      Words::Store(values + c, Words::Add(Words::Load(values + c), offset));
    }
  }
}

inline void AttendSealed(const SealedWork& work) {
  for (int64_t i = 0; i < work.state.rows * kLaneSums * Words::kLanes; i += Words::kLanes) {
    Words::Store(work.lanes + i, Words::Zero());
  }
  const Tiling tiling(work.state.rows, kTileRows);
  const bool both = work.planes == Planes::kBoth;
  const int head_dim = work.head_dim;
  const int values = kKvGroup * ValueGroups(head_dim);
  const int64_t plane_bytes = PlaneGroupBytes(head_dim);
  const int64_t scales_count = ScaleGroupBytes(head_dim) / static_cast<int64_t>(sizeof(F16));
  SealedGroup group = work.first;
  GroupScales scales;
  for (int64_t g = 0; g < work.groups; ++g) {
    const std::byte* ahead =
        reinterpret_cast<const std::byte*>(group.key_scales + kScalesAhead * scales_count);
    for (int64_t i = 0; i < 2 * scales_count; i += 64) Words::Prefetch(ahead + i);
    LoadScales(group.key_scales, group.key_zeros, head_dim, scales.key_scale, scales.key_middle);
    LoadScales(group.value_scales, group.value_zeros, values, scales.value_scale,
               scales.value_middle);
    for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
      const int64_t height = tiling.Height(tile);
      (both ? PickSealedTile<true>(height) : PickSealedTile<false>(height))(work, group, scales,
                                                                            tiling.Begin(tile));
    }
    group.upper += plane_bytes;
    if (both) group.lower += plane_bytes;
    group.key_scales += scales_count;
    group.key_zeros += scales_count;
    group.value_scales += scales_count;
    group.value_zeros += scales_count;
  }
  SettleLanes(work);
}

inline constexpr AttentionKernels kAttentionKernels{
    kTileRows,   PackRows, PackTiles, ClearState,  AttendSealed,
    AttendDense, nullptr,  nullptr,   MergeStates, FinishState};

}  // namespace quantspec::cpu::QS_ISA
