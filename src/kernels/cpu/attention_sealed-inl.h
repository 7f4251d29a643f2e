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

// Rounds q_c S_c to 8 bits. A row below 1e-30 counts as zeros but for its exact part.
QS_ROW_FUNCTION void QuantizeQuery(const float* q, const GroupScales& group, int head_dim,
                                   float center, float step, int8_t* out, float* scale,
                                   float* base) {
  alignas(64) float scaled[256];
  F most = Words::Zero();
  F exact = Words::Zero();
  for (int c = 0; c < head_dim; c += Words::kLanes) {
    const F x = Words::Load(q + c);
    const F s = Words::Mul(x, Words::Load(group.key_scale + c));
    Words::Store(scaled + c, s);
    most = Words::Max(most, Words::Abs(s));
    exact = Words::Fma(x, Words::Load(group.key_middle + c), exact);
  }
  const float max = Words::MaxOf(most);
  const F inverse = Words::Set(max > 1e-30f ? 127.0f / max : 0.0f);
  *scale = max > 1e-30f ? max * (step / 127.0f) : 0.0f;
  I sum = Words::ZeroInt();
  for (int c = 0; c < head_dim; c += Words::kLanes) {
    const I x = Words::ToInt(Words::Mul(Words::Load(scaled + c), inverse));
    Words::StoreBytes(out + c, x);
    sum = Words::AddInt(sum, x);
  }
  *base = Words::Sum(Words::Fma(Words::ToFloat(sum), Words::Set(-*scale * center), exact));
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

// Dot products of a row's keys to its weights; returns the largest score. `lanes`: the weights'
// sum, then the offset of each value group.
QS_ROW_FUNCTION float WeighGroup(const int32_t* dots, float scale, float base,
                                 const GroupScales& group, int parts, float center, float step,
                                 int8_t (*out)[kKvGroup], float* weight_scale, float* lanes) {
  constexpr int kVectors = kKvGroup / Words::kLanes;
  F x[kVectors];
  F most = x[0] = Words::ToFloat(Words::LoadInt(dots));
#pragma GCC unroll 16
  for (int i = 1; i < kVectors; ++i) {
    x[i] = Words::ToFloat(Words::LoadInt(dots + i * Words::kLanes));
    most = Words::Max(most, x[i]);
  }
  const float max = Words::MaxOf(most) * scale;
  const F wide_scale = Words::Set(scale);
  const F shift = Words::Set(-max);
  F scaled[kVectors];
  F sum = Words::Zero();
  F exact = Words::Zero();
  most = Words::Zero();
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i) {
    const F p = Exp2Coarse(Words::Fma(x[i], wide_scale, shift));
    sum = Words::Add(sum, p);
    scaled[i] = Words::Mul(p, Words::Load(group.value_scale + i * Words::kLanes));
    most = Words::Max(most, scaled[i]);
    exact = Words::Fma(p, Words::Load(group.value_middle + i * Words::kLanes), exact);
    x[i] = p;
  }
  Words::Store(lanes, sum);
  Words::Store(lanes + Words::kLanes,
               QuantizeWeights(scaled, most, exact, center, step, out[0], weight_scale));
  if (parts == 2) {
    most = exact = Words::Zero();
    for (int i = 0; i < kVectors; ++i) {
      const int at = kKvGroup + i * Words::kLanes;
      scaled[i] = Words::Mul(x[i], Words::Load(group.value_scale + at));
      most = Words::Max(most, scaled[i]);
      exact = Words::Fma(x[i], Words::Load(group.value_middle + at), exact);
    }
    Words::Store(lanes + 2 * Words::kLanes,
                 QuantizeWeights(scaled, most, exact, center, step, out[1], weight_scale + 1));
  }
  return base + max;
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
  for (int r = 0; r < R; ++r) {
    QuantizeQuery(work.q + (row + r) * head_dim, scales, head_dim, C::kCenter, C::kStep, tile.q[r],
                  &tile.q_scale[r], &tile.q_base[r]);
  }
  KeyDots<kBoth, R>(group.upper, group.lower, head_dim, tile);
  for (int r = 0; r < R; ++r) {
    tile.max[r] =
        WeighGroup(tile.dots[r], tile.q_scale[r], tile.q_base[r], scales, parts, C::kCenter,
                   C::kStep, tile.weights[r], tile.weight_scale[r], tile.lanes[r]);
  }
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
