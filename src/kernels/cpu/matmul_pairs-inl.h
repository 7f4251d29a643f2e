// Linear layers with bf16 weights over rows rounded to bf16: a pair of inputs a product, no weight
// is unpacked. Over PairWords; after matmul_dense-inl.h, whose blocks it shares.

namespace quantspec::cpu::QS_ISA {

// As Interleave, but a tile of R rows is [pairs of inputs][R] pairs.
inline void InterleavePairs(ConstRows x, int64_t first, int64_t last, std::byte* out) {
  constexpr int kStep = 2 * Words::kLanes;  // inputs
  const Tiling tiling(x.rows, kDenseRows);
  const int64_t pairs = CeilDiv(x.columns, 2);
  alignas(64) float padded[kStep];
  alignas(64) Pair rounded[Words::kLanes];
  for (int64_t tile = first; tile < last; ++tile) {
    const int64_t begin = tiling.Begin(tile);
    const int64_t height = tiling.Height(tile);
    for (int64_t row = 0; row < height; ++row) {
      const float* source = x.data + (begin + row) * x.stride;
      Pair* target = reinterpret_cast<Pair*>(out) + begin * pairs + row;
      for (int64_t i = 0; i < x.columns; i += kStep) {
        const float* values = source + i;
        if (i + kStep > x.columns) {
          for (int j = 0; j < kStep; ++j) padded[j] = i + j < x.columns ? source[i + j] : 0.0f;
          values = padded;
        }
        PairWords::StoreNeighbours(rounded, values);
        for (int64_t j = 0; j < Words::kLanes && i / 2 + j < pairs; ++j) {
          target[(i / 2 + j) * height] = rounded[j];
        }
      }
    }
  }
}

// Pair k of R rows.
template <int R>
QS_INLINE void AddPair(const std::byte* weights, const Pair* x, int64_t k, F (*sum)[kHalves]) {
  const PairWords::Pairs w =
      PairWords::Load(reinterpret_cast<const Pair*>(weights) + k * Words::kLanes);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    sum[r][0] = PairWords::Dot(sum[r][0], w, PairWords::Broadcast(x + k * R + r));
  }
}

template <int R, int r = 0>
QS_INLINE void JoinSums(F (*sum)[kHalves], const F (*other)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) sum[r][h] = Words::Add(sum[r][h], other[r][h]);
  if constexpr (r + 1 < R) JoinSums<R, r + 1>(sum, other);
}

// R rows times one block. Pairs are summed in two chains, so that one row alone is not bound by the
// latency of a product; bound by memory up to about 8 rows.
template <int R>
inline void PairTile(const MatMulArgs& args, int64_t block, const Pair* x, int64_t row) {
  static_assert(kHalves == 1);
  constexpr int kChains = 2;
  const int64_t pairs = CeilDiv(args.inputs, 2);
  const std::byte* weights = args.upper + block * pairs * Bf16Weights::kPairBytes;
  const int64_t ahead = DenseFetchAhead<R>(args);
  F sum[kChains][R][kHalves];
#pragma GCC unroll 4
  for (int c = 0; c < kChains; ++c) ClearSums<R>(sum[c]);
  int64_t k = 0;
  for (; k + kChains <= pairs; k += kChains) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) {
      if (ahead != 0) Words::Prefetch(weights + (k + c) * Bf16Weights::kPairBytes + ahead);
      AddPair<R>(weights, x, k + c, sum[c]);
    }
  }
  for (; k < pairs; ++k) AddPair<R>(weights, x, k, sum[0]);
  JoinSums<R>(sum[0], sum[1]);
  Finish<R>(args, block, row, sum[0]);
}

template <int R = kDenseRows>
DenseTileFunction<Pair> PickPairTile(int64_t height) {
  if constexpr (R > 1) {
    if (height < R) return PickPairTile<R - 1>(height);
  }
  return PairTile<R>;
}

inline void DensePairs(const MatMulArgs& args, int64_t first, int64_t last) {
  DenseBlocks<Pair>(args, CeilDiv(args.inputs, 2), PickPairTile<>, first, last);
}

constexpr MatMulKernels WithPairs(MatMulKernels kernels) {
  kernels.interleave_pairs = InterleavePairs;
  kernels.dense_pairs = DensePairs;
  return kernels;
}
inline constexpr MatMulKernels kPairMatMulKernels = WithPairs(kMatMulKernels);

}  // namespace quantspec::cpu::QS_ISA
