// Linear layers in products of tiles of bf16: of prompts, for whose many rows a block's weights
// become bf16 once; and of any rows where weights are bf16, which are tiles as they lie. Over
// TileWords; after matmul_pairs-inl.h. Bound by the products, 16 cycles for 16 rows, outputs and
// pairs of inputs, and by making weights bf16, some 80 cycles for 16 outputs and pairs; few rows by
// memory.

namespace quantspec::cpu::QS_ISA {

inline constexpr int kStepInputs = 2 * TileWords::kPairs;  // of one product of tiles
// Inputs of a pass over all blocks: what 256 rows have of them stays in L2.
inline constexpr int64_t kPassSteps = 32;
// Bytes that weights are fetched ahead, of each of two blocks.
inline constexpr int64_t kTilesAhead = 2048;

// Rows as bf16, zeros beyond the last input: [tile of 16 rows][step][16 rows][16 pairs]. Zeros,
// too, beyond the last row, but for a single tile, which is then multiplied without them.
inline void PackHalves(ConstRows x, int64_t first, int64_t last, std::byte* out) {
  const int64_t steps = CeilDiv(x.columns, kStepInputs);
  alignas(64) float padded[kStepInputs];
  const int64_t end = x.rows < TileWords::kRows ? x.rows : last * TileWords::kRows;
  for (int64_t row = first * TileWords::kRows; row < end; ++row) {
    Pair* target = reinterpret_cast<Pair*>(out) +
                   row / TileWords::kRows * steps * TileWords::kTile +
                   row % TileWords::kRows * TileWords::kPairs;
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t left = row < x.rows ? x.columns - step * kStepInputs : 0;
      const float* values = x.data + row * x.stride + step * kStepInputs;
      if (left < kStepInputs) {
        for (int j = 0; j < kStepInputs; ++j) padded[j] = j < left ? values[j] : 0.0f;
        values = padded;
      }
      PairWords::StoreNeighbours(target + step * TileWords::kTile, values);
    }
  }
}

// A code of kBits that starts at bit kAt of every lane, as the float 2^kBits + code.
template <int kBits, int kAt>
QS_INLINE F CodeAt(Words::Raw raw) {
  constexpr int kShift = 23 - kBits - kAt;  // to the top of the mantissa
  const __m512i moved = kShift >= 0 ? _mm512_slli_epi32(raw, kShift >= 0 ? kShift : 0)
                                    : _mm512_srli_epi32(raw, kShift < 0 ? -kShift : 0);
  const __m512i mask = _mm512_set1_epi32(((1 << kBits) - 1) << (23 - kBits));
  const __m512i power = _mm512_set1_epi32((127 + kBits) << 23);
  return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(moved, mask, power, 0xEA));
}

// Two pairs of inputs of 16 outputs, whose codes start every kApart bits from kAt on.
template <int kBits, int kAt>
QS_INLINE void UnpackPairs(Words::Raw raw, F scale, F offset, Pair* out) {
  PairWords::Store(out, Words::Fma(scale, CodeAt<kBits, kAt>(raw), offset),
                   Words::Fma(scale, CodeAt<kBits, kAt + 8>(raw), offset));
  PairWords::Store(out + kBlock, Words::Fma(scale, CodeAt<kBits, kAt + 16>(raw), offset),
                   Words::Fma(scale, CodeAt<kBits, kAt + 24>(raw), offset));
}

// How a product sees its weights, as in matmul-inl.h: a weight is scale * (power + code) + offset.
struct OnePlaneHalves : OnePlane {
  using Base = OnePlane;
  static QS_INLINE F Offset(F s, F zero) { return Words::Fma(s, Words::Set(-16.0f), zero); }
  static QS_INLINE void Unpack(Words::Raw u, Words::Raw, F scale, F offset, Pair* out) {
    UnpackPairs<4, 0>(u, scale, offset, out);
    UnpackPairs<4, 4>(u, scale, offset, out + 2 * kBlock);
  }
};
struct TwoPlaneHalves : JoinedPlanes {
  using Base = JoinedPlanes;
  static QS_INLINE F Offset(F s, F zero) { return Words::Fma(s, Words::Set(-264.0f), zero); }
  static QS_INLINE void Unpack(Words::Raw u, Words::Raw l, F scale, F offset, Pair* out) {
    UnpackPairs<8, 0>(Words::Low8(u, l), scale, offset, out);
    UnpackPairs<8, 0>(Words::High8(u, l), scale, offset, out + 2 * kBlock);
  }
};

// Steps [first, last) of a block as bf16: [step][16 pairs][16 outputs].
template <typename P>
void UnpackBlock(const MatMulArgs& args, int64_t block, int64_t first, int64_t last, Pair* out) {
  const int64_t steps_of_group = args.group / kQuantGroup;
  const int64_t group_bytes = steps_of_group * kCodeBytes + kScaleBytes;
  const std::byte* upper = args.upper + block * UpperBlockBytes(args.inputs, args.group) +
                           first / steps_of_group * group_bytes;
  const std::byte* lower =
      P::kLower ? args.lower + block * LowerBlockBytes(args.inputs) + first * kCodeBytes : upper;
  for (int64_t step = first; step < last; step += steps_of_group) {
    F scale[kHalves], zero[kHalves];
    LoadScales<typename P::Base>(upper + steps_of_group * kCodeBytes, 0, scale, zero);
    const F offset = P::Offset(scale[0], zero[0]);
    for (int64_t v = 0; v < 4 * steps_of_group; ++v) {
      Words::Prefetch(upper + 64 * v + 2 * group_bytes);
      const Words::Raw u = Words::LoadRaw(upper + 64 * v);
      const Words::Raw l = P::kLower ? Words::LoadRaw(lower + 64 * v) : u;
      P::Unpack(u, l, scale[0], offset, out);
      out += 4 * kBlock;
    }
    upper += group_bytes;
    lower += steps_of_group * kCodeBytes;
  }
}

// The same of bf16 weights: in place, but for a last step that is not whole.
inline const Pair* DenseSteps(const MatMulArgs& args, int64_t block, int64_t first, int64_t last,
                              Pair* copy) {
  const int64_t pairs = CeilDiv(args.inputs, 2);
  const Pair* from = reinterpret_cast<const Pair*>(args.upper) +
                     (block * pairs + first * TileWords::kPairs) * kBlock;
  if (last * TileWords::kPairs <= pairs) return from;
  const int64_t live = (pairs - first * TileWords::kPairs) * kBlock;
  for (int64_t i = 0; i < (last - first) * TileWords::kTile; i += Words::kLanes) {
    Words::StoreInt(copy + i, i < live
                                  ? Words::LoadRaw(reinterpret_cast<const std::byte*>(from + i))
                                  : Words::ZeroInt());
  }
  return copy;
}

inline const Pair* StepsOf(const MatMulArgs& args, int64_t block, int64_t first, int64_t last,
                           Pair* memory) {
  if (args.format == WeightFormat::kBf16) return DenseSteps(args, block, first, last, memory);
  (args.lower == nullptr ? UnpackBlock<OnePlaneHalves>
                         : UnpackBlock<TwoPlaneHalves>)(args, block, first, last, memory);
  return memory;
}

// What one product of R tiles of rows and B blocks reads: x[r] and weights[b] are [step][tile].
struct HalfOperands {
  const Pair* x[2];
  const Pair* weights[2];
  int64_t ahead;  // bytes that weights are fetched ahead; 0: they are in a cache
};

QS_INLINE void FetchTile(const Pair* weights, int64_t ahead) {
#pragma GCC unroll 16
  for (int row = 0; row < TileWords::kPairs; ++row) {
    Words::Prefetch(reinterpret_cast<const std::byte*>(weights + row * kBlock) + ahead);
  }
}

// sums: [R][B][16 rows][16 outputs]. Products in registers 0 to 3, rows in 4 and 5, weights in 6
// and 7.
template <int R, int B>
void MultiplyTiles(const HalfOperands& from, int64_t steps, float* sums) {
  constexpr int64_t kStride = 4 * TileWords::kPairs;
  TileWords::Zero<0>();
  if constexpr (B == 2) TileWords::Zero<1>();
  if constexpr (R == 2) TileWords::Zero<2>();
  if constexpr (R == 2 && B == 2) TileWords::Zero<3>();
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t at = step * TileWords::kTile;
    TileWords::Load<4>(from.x[0] + at, kStride);
    TileWords::Load<6>(from.weights[0] + at, kStride);
    TileWords::Dot<0, 4, 6>();
    if (from.ahead != 0) {
      for (int b = 0; b < B; ++b) FetchTile(from.weights[b] + at, from.ahead);
    }
    if constexpr (B == 2) {
      TileWords::Load<7>(from.weights[1] + at, kStride);
      TileWords::Dot<1, 4, 7>();
    }
    if constexpr (R == 2) {
      TileWords::Load<5>(from.x[1] + at, kStride);
      TileWords::Dot<2, 5, 6>();
    }
    if constexpr (R == 2 && B == 2) TileWords::Dot<3, 5, 7>();
  }
  TileWords::Store<0>(sums, kStride);
  if constexpr (B == 2) TileWords::Store<1>(sums + TileWords::kTile, kStride);
  if constexpr (R == 2) TileWords::Store<2>(sums + B * TileWords::kTile, kStride);
  if constexpr (R == 2 && B == 2) TileWords::Store<3>(sums + 3 * TileWords::kTile, kStride);
}

using MultiplyTilesFunction = void (*)(const HalfOperands&, int64_t, float*);
inline constexpr MultiplyTilesFunction kMultiplyTiles[2][2] = {
    {MultiplyTiles<1, 1>, MultiplyTiles<1, 2>}, {MultiplyTiles<2, 1>, MultiplyTiles<2, 2>}};

// Rows [row, row + 16 tiles) of `blocks` blocks.
inline void PutTiles(const MatMulArgs& args, int64_t block, int64_t blocks, int64_t row,
                     int64_t tiles, const float* sums) {
  for (int64_t tile = 0; tile < tiles; ++tile) {
    for (int64_t b = 0; b < blocks; ++b) {
      for (int64_t r = 0; r < TileWords::kRows; ++r, sums += kBlock) {
        const int64_t at = row + tile * TileWords::kRows + r;
        if (at < args.rows) Put(args, at, (block + b) * kBlock, Words::Load(sums));
      }
    }
  }
}

// Steps [begin, end) of all rows, added to y.
inline void HalvesPass(const MatMulArgs& args, int64_t first, int64_t last, int64_t begin,
                       int64_t end) {
  alignas(64) Pair weights[2 * kPassSteps * TileWords::kTile];
  alignas(64) float sums[4 * TileWords::kTile];
  const int64_t tile_pairs = CeilDiv(args.inputs, kStepInputs) * TileWords::kTile;
  const Pair* x = reinterpret_cast<const Pair*>(args.x) + begin * TileWords::kTile;
  const int64_t row_tiles = CeilDiv(args.rows, TileWords::kRows);
  for (int64_t block = first; block < last; block += 2) {
    const int64_t blocks = last - block < 2 ? 1 : 2;
    HalfOperands from;
    for (int64_t b = 0; b < blocks; ++b) {
      from.weights[b] =
          StepsOf(args, block + b, begin, end, weights + b * kPassSteps * TileWords::kTile);
    }
    for (int64_t tile = 0; tile < row_tiles; tile += 2) {
      const int64_t tiles = row_tiles - tile < 2 ? 1 : 2;
      const bool is_from_memory = tile == 0 && args.format == WeightFormat::kBf16;
      from.ahead = is_from_memory && args.fetch_weights ? kTilesAhead : 0;
      from.x[0] = x + tile * tile_pairs;
      from.x[1] = from.x[0] + tile_pairs;
      kMultiplyTiles[tiles - 1][blocks - 1](from, end - begin, sums);
      PutTiles(args, block, blocks, tile * TileWords::kRows, tiles, sums);
    }
  }
}

// All steps of all rows, pass after pass.
inline void HalvesPasses(const MatMulArgs& args, int64_t first, int64_t last) {
  const int64_t steps = CeilDiv(args.inputs, kStepInputs);
  MatMulArgs pass = args;
  for (int64_t begin = 0; begin < steps; begin += kPassSteps) {
    const int64_t end = begin + kPassSteps < steps ? begin + kPassSteps : steps;
    HalvesPass(pass, first, last, begin, end);
    pass.bias = nullptr;
    pass.accumulate = true;
  }
}

// Few rows stay in L2 as a whole, and what is fetched ahead should be what is read next: they
// finish two blocks before the next two.
inline void Halves(const MatMulArgs& args, int64_t first, int64_t last) {
  const TileScope scope(args.rows < TileWords::kRows ? args.rows : TileWords::kRows);
  const int64_t blocks = args.rows <= 2 * TileWords::kRows ? 2 : last - first;
  for (int64_t block = first; block < last; block += blocks) {
    HalvesPasses(args, block, block + blocks < last ? block + blocks : last);
  }
}

constexpr MatMulKernels WithTiles(MatMulKernels kernels) {
  kernels.pack_halves = PackHalves;
  kernels.halves = Halves;
  return kernels;
}
inline constexpr MatMulKernels kTileMatMulKernels = WithTiles(kPairMatMulKernels);

}  // namespace quantspec::cpu::QS_ISA
