// Linear layers with dense weights (float32, bf16): after matmul-inl.h, whose rows and results they
// share.

namespace quantspec::cpu::QS_ISA {

// One vector of weights of an even input, and of the odd one behind it.
struct Bf16Weights {
  static constexpr int64_t kPairBytes = 4 * kBlock;
  static QS_INLINE F Even(const std::byte* p, int h) {
    return Words::LowBf16(Words::LoadRaw(p + h * 4 * Words::kLanes));
  }
  static QS_INLINE F Odd(const std::byte* p, int h) {
    return Words::HighBf16(Words::LoadRaw(p + h * 4 * Words::kLanes));
  }
};
struct F32Weights {
  static constexpr int64_t kPairBytes = 8 * kBlock;
  static QS_INLINE F Even(const std::byte* p, int h) {
    return Words::Load(reinterpret_cast<const float*>(p) + h * Words::kLanes);
  }
  static QS_INLINE F Odd(const std::byte* p, int h) {
    return Words::Load(reinterpret_cast<const float*>(p) + kBlock + h * Words::kLanes);
  }
};

template <int R, int r = 0>
QS_INLINE void AddInput(const F* weights, const float* x, F (*sum)[kHalves]) {
  const F value = Words::Broadcast(x + r);
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) sum[r][h] = Words::Fma(weights[h], value, sum[r][h]);
  if constexpr (r + 1 < R) AddInput<R, r + 1>(weights, x, sum);
}

// Several rows of dense weights do take less time (5 to 12 %) where 4 KB are fetched ahead.
template <int R>
QS_INLINE int64_t DenseFetchAhead(const MatMulArgs& args) {
  return R > 2 && args.fetch_weights ? 4096 : FetchAhead<R>(args, kDenseRows);
}

// R rows times one block, in one sum an output: one row alone waits for two additions a pair, which
// takes half the time that memory needs for it, and six rows fit into 16 registers. With sums apart
// for even and odd inputs only three do, and the four rows of a verify step take 1.5 times one's
// time instead of 1.2.
template <typename Weights, int R>
inline void DenseTile(const MatMulArgs& args, int64_t block, const float* x, int64_t row) {
  const int64_t pairs = (args.inputs + 1) / 2;
  const std::byte* weights = args.upper + block * pairs * Weights::kPairBytes;
  const int64_t ahead = DenseFetchAhead<R>(args);
  F sum[R][kHalves];
  ClearSums<R>(sum);
  for (int64_t k = 0; k < pairs; ++k) {
    F inputs[kHalves];
#pragma GCC unroll 4
    for (int h = 0; h < kHalves; ++h) inputs[h] = Weights::Even(weights, h);
    AddInput<R>(inputs, x, sum);
    ForgetLoads();
#pragma GCC unroll 4
    for (int h = 0; h < kHalves; ++h) inputs[h] = Weights::Odd(weights, h);
    AddInput<R>(inputs, x + R, sum);
    if (ahead != 0) Words::Prefetch(weights + ahead);
    weights += Weights::kPairBytes;
    x += 2 * R;
  }
  Finish<R>(args, block, row, sum);
}

template <typename X>
using DenseTileFunction = void (*)(const MatMulArgs&, int64_t, const X*, int64_t);

template <typename Weights, int R = kDenseRows>
DenseTileFunction<float> PickDenseTile(int64_t height) {
  if constexpr (R > 1) {
    if (height < R) return PickDenseTile<Weights, R - 1>(height);
  }
  return DenseTile<Weights, R>;
}

// Every block meets all tiles of a chunk of rows while it is in the cache. A prepared row is
// `columns` of X.
template <typename X>
inline void DenseBlocks(const MatMulArgs& args, int64_t columns,
                        DenseTileFunction<X> (*pick)(int64_t height), int64_t first, int64_t last) {
  const Tiling tiling(args.rows, kDenseRows);
  const X* x = reinterpret_cast<const X*>(args.x);
  const int64_t tile_bytes = kDenseRows * columns * static_cast<int64_t>(sizeof(X));
  const int64_t chunk = kRowChunkBytes / tile_bytes > 1 ? kRowChunkBytes / tile_bytes : 1;
  for (int64_t tile0 = 0; tile0 < tiling.tiles; tile0 += chunk) {
    const int64_t tile1 = tile0 + chunk < tiling.tiles ? tile0 + chunk : tiling.tiles;
    for (int64_t block = first; block < last; ++block) {
      for (int64_t tile = tile0; tile < tile1; ++tile) {
        const int64_t row = tiling.Begin(tile);
        pick(tiling.Height(tile))(args, block, x + row * columns, row);
      }
    }
  }
}

inline void Dense(const MatMulArgs& args, int64_t first, int64_t last) {
  DenseBlocks<float>(
      args, RoundUp(args.inputs, 2),
      args.format == WeightFormat::kBf16 ? PickDenseTile<Bf16Weights> : PickDenseTile<F32Weights>,
      first, last);
}

inline constexpr MatMulKernels kMatMulKernels{kQuantizedRows, kDenseRows, Quantize, Interleave,
                                              Quantized,      Dense,      nullptr,  nullptr,
                                              nullptr,        nullptr};

}  // namespace quantspec::cpu::QS_ISA
