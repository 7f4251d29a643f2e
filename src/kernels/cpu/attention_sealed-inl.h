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
  alignas(64) float value_scale[2 * kKvGroup];  // times 127
  alignas(64) float value_middle[2 * kKvGroup];
  alignas(64) float value_log[2 * kKvGroup];  // Log2Above of the scales
};

QS_INLINE void LoadScales(const uint16_t* scales, const uint16_t* zeros, int count, float* scale,
                          float* middle) {
  for (int i = 0; i < count; i += Words::kLanes) {
    const F s = Words::LoadF16(scales + i);
    Words::Store(scale + i, s);
    Words::Store(middle + i, Words::Fma(s, Words::Set(7.5f), Words::LoadF16(zeros + i)));
  }
}

// Powers of 2 are taken of numbers in units of 2^-23, so that, as whole numbers, they have the
// exponent and the mantissa of a float in their places.
inline constexpr float kExp2Unit = 0x1p23f;

// log2 x or up to 0.0861 more, for x >= 0; -25, which is below every scale, for 0. Bits as a number
// are the logarithm, but for a curve.
QS_INLINE F Log2Above(F x) {
  const F bits = Words::ToFloat(Words::BitsOf(x));
  return Words::Max(Words::Add(bits, Words::Set((0.0861f - 127.0f) * kExp2Unit)),
                    Words::Set(-25.0f * kExp2Unit));
}

// log2 of sums of numbers 2^max, or up to 0.0861 more.
QS_INLINE F Log2Sum(F sum, F max) {
  return Words::Fma(Log2Above(sum), Words::Set(1.0f / kExp2Unit), max);
}

// How many groups ahead scales are fetched: short reads far apart in time, which the hardware does
// not fetch ahead by itself (11 % at one token and one plane).
inline constexpr int kScalesAhead = 2;

// ------------------------------------------------------------------------------ row steps

// 2^(x + 1) for x up to 100, within 1.8e-3: half of what rounding the largest weight costs, and
// weights and their sum share it. As 2^-124 below that. x in fixed point is the bits of a float,
// but for its curve, which a minimax polynomial of degree 2 of the mantissa u, 1 <= u < 2, adds:
// its value 2 + 2^(u - 1) - u is just below 2, where equal steps are equal steps of bits. Written
// for ports: rows wait for adders, which convert too.
QS_INLINE F Exp2Coarse(F x) {
  const I fixed = Words::ToLargeInt(Words::MaxNegative(x, Words::Set(-125.0f * kExp2Unit)));
  const F u = Words::MantissaOf(fixed);
  F p = Words::Fma(Words::Set(0.337189437f), u, Words::Set(-1.0167425937f));
  p = Words::Fma(p, u, Words::Set(2.681277922f));
  return Words::AddBits(p, fixed);
}

// Each step is a loop over rows that leaves a vector of lanes for each, and then joins the lanes of
// four rows at once: a row waits for its own largest number between two steps, and meanwhile the
// others are worked on. What follows is computed for all rows together.

// Joins R vectors of lanes by op (Words::Max or Add); out has room for 16.
template <int R, F (*op)(F, F)>
QS_INLINE void JoinLanes(const SealedTileMemory<R>& tile, int sums, float* out) {
  for (int r = 0; r < R; r += 4) {
    F x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int row = r + i < R ? r + i : R - 1;
      x[i] = Words::Load(tile.lanes[row] + sums * Words::kLanes);
    }
    Words::JoinLanes4<op>(out + r, x[0], x[1], x[2], x[3]);
  }
}

// Largest q_c S_c of every row, and q_c M_c summed over lanes.
template <int R>
QS_ROW_FUNCTION void ScaleQueries(const float* q, const GroupScales& group, int head_dim,
                                  float step, SealedTileMemory<R>& tile) {
  for (int r = 0; r < R; ++r) {
    F most = Words::Zero(), exact = Words::Zero();
    for (int c = 0; c < head_dim; c += Words::kLanes) {
      const F x = Words::Load(q + r * head_dim + c);
      const F scaled = Words::Mul(x, Words::Load(group.key_scale + c));
      Words::Store(tile.scaled[r] + c, scaled);
      most = Words::Max(most, Words::Magnitude(scaled));
      exact = Words::Fma(x, Words::Load(group.key_middle + c), exact);
    }
    for (int c = head_dim; c % (4 * Words::kLanes) != 0; c += Words::kLanes) {
      Words::Store(tile.scaled[r] + c, Words::Zero());
    }
    Words::Store(tile.lanes[r], exact);
    Words::Store(tile.lanes[r] + Words::kLanes, most);
  }
  JoinLanes<R, Words::Max>(tile, 1, tile.inverse);
  for (int r = 0; r < R; r += Words::kLanes) {
    // So that the inverse is finite: of smaller queries little but the exact part is left.
    const F max = Words::Max(Words::Load(tile.inverse + r), Words::Set(1e-30f));
    const F scale = Words::Mul(max, Words::Set(step / 127.0f));
    Words::Store(tile.inverse + r, Words::Div(Words::Set(127.0f), max));
    Words::Store(tile.q_scale + r, scale);
    Words::Store(tile.score_scale + r, Words::Mul(scale, Words::Set(kExp2Unit)));
  }
}

// Rounds q_c S_c to 8 bits.
template <int R>
QS_ROW_FUNCTION void RoundQueries(int head_dim, float center, SealedTileMemory<R>& tile) {
  for (int r = 0; r < R; ++r) {
    const F inverse = Words::Broadcast(tile.inverse + r);
    I sum = Words::ZeroInt();
    for (int c = 0; c < head_dim; c += 4 * Words::kLanes) {
      I x[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const F scaled = Words::Load(tile.scaled[r] + c + i * Words::kLanes);
        x[i] = Words::ToInt(Words::Mul(scaled, inverse));
      }
      const I bytes = Words::PackBytes(x);
      Words::StoreInt(tile.q[r] + c, bytes);
      sum = Words::AddBytes(sum, bytes);
    }
    const F offset = Words::Set(-tile.q_scale[r] * center);
    Words::Store(tile.lanes[r],
                 Words::Fma(Words::ToFloat(sum), offset, Words::Load(tile.lanes[r])));
  }
  JoinLanes<R, Words::Add>(tile, 0, tile.q_base);
}

// Caps the scores of rows, which are then no longer integers to be scaled.
template <int R>
QS_ROW_FUNCTION void CapSealed(float softcap, SealedTileMemory<R>& tile) {
  const F cap = Words::Set(softcap);
  for (int r = 0; r < R; ++r) {
    const F scale = Words::Broadcast(tile.q_scale + r), base = Words::Broadcast(tile.q_base + r);
    for (int i = 0; i < kKvGroup; i += Words::kLanes) {
      float* scores = tile.scores[r] + i;
      Words::Store(scores, Capped(Words::Fma(Words::Load(scores), scale, base), cap));
    }
  }
  for (int r = 0; r < 16; r += Words::kLanes) {
    Words::Store(tile.q_base + r, Words::Zero());
    Words::Store(tile.score_scale + r, Words::Set(kExp2Unit));
  }
}

// What the weights of every row and one value group are relative to: the largest p_t S_t, or a
// little more (Log2Above). So one scale serves all rows, and no maximum of p_t alone is needed.
template <int R>
QS_ROW_FUNCTION void FindLargest(const GroupScales& group, int part, SealedTileMemory<R>& tile) {
  const float* log = group.value_log + part * kKvGroup;
  for (int r = 0; r < R; ++r) {
    const F scale = Words::Broadcast(tile.score_scale + r);
    F most = Words::Set(kNoScore * kExp2Unit);
#pragma GCC unroll 16
    for (int i = 0; i < kKvGroup; i += Words::kLanes) {
      most = Words::Max(most,
                        Words::Fma(Words::Load(tile.scores[r] + i), scale, Words::Load(log + i)));
    }
    Words::Store(tile.lanes[r] + (1 + part) * Words::kLanes, most);
  }
  JoinLanes<R, Words::Max>(tile, 1 + part, tile.max[part]);
  for (int r = 0; r < R; r += Words::kLanes) {
    const F max = Words::Load(tile.max[part] + r);
    Words::Store(tile.shift + r, Words::Sub(Words::Set(-kExp2Unit), max));
    Words::Store(tile.max[part] + r,
                 Words::Fma(max, Words::Set(1.0f / kExp2Unit), Words::Load(tile.q_base + r)));
  }
}

// Rounds p_t S_t to 7 bits. Lanes: the sum of p_t, and for every value group what all its channels
// share.
template <int R>
QS_ROW_FUNCTION void RoundRows(const GroupScales& group, int part, float center, float step,
                               SealedTileMemory<R>& tile) {
  const float* value_scale = group.value_scale + part * kKvGroup;
  const float* value_middle = group.value_middle + part * kKvGroup;
  const F offset = Words::Set(step / -127.0f * center);
  for (int r = 0; r < R; ++r) {
    const F scale = Words::Broadcast(tile.score_scale + r);
    const F shift = Words::Broadcast(tile.shift + r);
    F sum = Words::Zero(), exact = Words::Zero();
    I codes = Words::ZeroInt();
#pragma GCC unroll 8
    for (int i = 0; i < kKvGroup; i += 4 * Words::kLanes) {
      I w[4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const int at = i + j * Words::kLanes;
        const F p = Exp2Coarse(Words::Fma(Words::Load(tile.scores[r] + at), scale, shift));
        sum = Words::Add(sum, p);
        exact = Words::Fma(p, Words::Load(value_middle + at), exact);
        w[j] = Words::ToInt(Words::Mul(p, Words::Load(value_scale + at)));
      }
      const I bytes = Words::PackBytes(w);
      Words::StoreInt(tile.weights[r][part] + i, bytes);
      codes = Words::AddBytes(codes, bytes);
    }
    if (part == 0) Words::Store(tile.lanes[r], sum);
    Words::Store(tile.lanes[r] + (1 + part) * Words::kLanes,
                 Words::Fma(Words::ToFloat(codes), offset, exact));
  }
}

// log2 of every row's sum of 2^score over the group.
template <int R>
QS_ROW_FUNCTION void TakeMass(SealedTileMemory<R>& tile, float* masses) {
  static_assert(R <= Words::kLanes);
  alignas(64) float sums[16] = {};
  JoinLanes<R, Words::Add>(tile, 0, sums);
  Words::StorePart(masses, Log2Sum(Words::Load(sums), Words::Load(tile.max[0])), R);
}

// The factors that bring the states so far and this group to one maximum; and the lanes of both.
template <int R>
QS_INLINE void BalanceTile(SealedTileMemory<R>& tile, int parts, float step, float* state_max,
                           float* lanes) {
  static_assert(R <= Words::kLanes);
  const F old_max = Words::LoadPart(state_max, R);
  const F max = Words::Max(old_max, Words::LoadPart(tile.max[0], R));
  Words::StorePart(state_max, max, R);
  Words::Store(tile.keep, Exp2(Words::Sub(old_max, max)));
  for (int part = 0; part < parts; ++part) {
    const F take = Exp2(Words::Sub(Words::LoadPart(tile.max[part], R), max));
    Words::Store(tile.take[part], take);
    Words::Store(tile.code_take[part], Words::Mul(take, Words::Set(step / 127.0f)));
  }
  for (int r = 0; r < R; ++r) {
    const F keep = Words::Broadcast(tile.keep + r);
    for (int i = 0; i < 1 + parts; ++i) {
      const F take = Words::Broadcast(tile.take[i / 2] + r);
      float* sums = lanes + (r * kLaneSums + i) * Words::kLanes;
      Words::Store(sums, Words::Fma(Words::Load(tile.lanes[r] + i * Words::kLanes), take,
                                    Words::Mul(Words::Load(sums), keep)));
    }
  }
}

// ---------------------------------------------------------------------------------- tiles

template <typename C, int R>
void SealedTile(const SealedWork& work, const SealedGroup& group, const GroupScales& scales,
                int64_t row, int64_t skip, float* masses) {
  const int head_dim = work.head_dim;
  const int parts = ValueGroups(head_dim);
  SealedTileMemory<R> tile;
  tile.skip = skip;
  ScaleQueries<R>(work.q + row * head_dim, scales, head_dim, C::kStep, tile);
  RoundQueries<R>(head_dim, C::kKeyCenter, tile);
  KeyDots<C, R>(group.upper, group.lower, head_dim, tile);
  if (work.softcap > 0) CapSealed<R>(work.softcap, tile);
  for (int part = 0; part < parts; ++part) {
    FindLargest<R>(scales, part, tile);
    RoundRows<R>(scales, part, C::kValueCenter, C::kStep, tile);
  }
  if (masses != nullptr) TakeMass<R>(tile, masses + row);
  BalanceTile<R>(tile, parts, C::kStep, work.state.max + row, LanesOf(work, row));
  const int64_t values_at = KeyCodeBytes(head_dim);
  ValueDots<C, R>(group.upper + values_at, C::kBoth ? group.lower + values_at : nullptr, head_dim,
                  tile, work.state.values + row * head_dim);
}

using SealedTileFunction = void (*)(const SealedWork&, const SealedGroup&, const GroupScales&,
                                    int64_t, int64_t, float*);

template <typename C, int... R>
struct SealedTiles {
  static constexpr SealedTileFunction kOf[] = {nullptr, SealedTile<C, R>...};
};
template <typename C>
QS_INLINE SealedTileFunction PickSealedTile(int64_t height) {
  if constexpr (kSealedRows == 16) {
    return SealedTiles<C, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16>::kOf[height];
  } else if constexpr (kSealedRows == 2) {
    return SealedTiles<C, 1, 2>::kOf[height];
  } else {
    return SealedTiles<C, 1, 2, 3, 4, 5, 6>::kOf[height];
  }
}

template <PlaneFetch kFetch>
QS_INLINE SealedTileFunction PickSealedTile(bool both, int64_t height) {
  return both ? PickSealedTile<FetchedCodes<true, kFetch>>(height)
              : PickSealedTile<FetchedCodes<false, kFetch>>(height);
}
QS_INLINE SealedTileFunction PickSealedTile(bool both, PlaneFetch fetch, int64_t height) {
  if (fetch == PlaneFetch::kNear) return PickSealedTile<PlaneFetch::kNear>(both, height);
  if (fetch == PlaneFetch::kFarForSomeRows && both) {
    return PickSealedTile<FetchedCodes<true, PlaneFetch::kFarForSomeRows>>(height);
  }
  return PickSealedTile<PlaneFetch::kFar>(both, height);
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
  const Tiling tiling(work.state.rows, kSealedRows);
  const bool both = work.planes == Planes::kBoth;
  const int head_dim = work.head_dim;
  const int values = kKvGroup * ValueGroups(head_dim);
  const int64_t scales_bytes = ScaleGroupBytes(head_dim);
  // What is behind the last group is only fetched.
  const auto slot_of = [&](int64_t g) {
    return int64_t{work.slots[g < work.groups ? g : work.groups - 1]};
  };
  GroupScales scales;
  float* masses = work.masses;
  for (int64_t g = work.begin; g < work.end; ++g) {
    const int64_t slot = slot_of(g);
    const int64_t skip = (slot_of(g + 1) - slot - 1) * PlaneGroupBytes(head_dim);
    const SealedGroup group = GroupAfter(work.first, head_dim, slot);
    const std::byte* ahead = reinterpret_cast<const std::byte*>(work.first.key_scales) +
                             slot_of(g + kScalesAhead) * scales_bytes;
    for (int64_t i = 0; i < scales_bytes; i += 64) Words::Prefetch(ahead + i);
    LoadScales(group.key_scales, group.key_zeros, head_dim, scales.key_scale, scales.key_middle);
    LoadScales(group.value_scales, group.value_zeros, values, scales.value_scale,
               scales.value_middle);
    for (int i = 0; i < values; i += Words::kLanes) {
      const F scale = Words::Load(scales.value_scale + i);
      Words::Store(scales.value_log + i, Log2Above(scale));
      Words::Store(scales.value_scale + i, Words::Mul(scale, Words::Set(127.0f)));
    }
    for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
      const int64_t height = tiling.Height(tile);
      PickSealedTile(both, work.fetch, height)(work, group, scales, tiling.Begin(tile), skip,
                                               masses);
    }
    if (masses != nullptr) masses += work.state.padded;
  }
  SettleLanes(work);
}

inline void ShareMasses(const float* masses, int64_t groups, const SoftmaxState& total,
                        float* out) {
  for (int64_t row = 0; row < total.rows; row += Words::kLanes) {
    const int64_t left = total.rows - row;
    const int count = left < Words::kLanes ? static_cast<int>(left) : Words::kLanes;
    // Rows that are not there have no mass.
    alignas(64) float whole[Words::kLanes];
    Words::Store(whole, Words::Set(-kNoScore));
    Words::StorePart(
        whole,
        Log2Sum(Words::LoadPart(total.sum + row, count), Words::LoadPart(total.max + row, count)),
        count);
    const F all = Words::Load(whole);
    for (int64_t g = 0; g < groups; g += 4) {
      F part[4];
      for (int i = 0; i < 4; ++i) {
        const int64_t group = g + i < groups ? g + i : g;
        part[i] = Words::Sub(Words::LoadPart(masses + group * total.padded + row, count), all);
      }
      float most[4];
      Words::JoinLanes4<Words::Max>(most, part[0], part[1], part[2], part[3]);
      for (int i = 0; i < 4 && g + i < groups; ++i) {
        out[g + i] = row == 0 || most[i] > out[g + i] ? most[i] : out[g + i];
      }
    }
  }
}

inline constexpr AttentionKernels kAttentionKernels{
    PackRows,    PackTiles, ClearState, AttendSealed, ShareMasses,
    AttendDense, nullptr,   nullptr,    MergeStates,  FinishState};

}  // namespace quantspec::cpu::QS_ISA
