// Shares of the softmax, token by token: the scores of attention over dense rows, without values.

namespace quantspec::cpu::QS_ISA {

// One tile of rows against a tile of tokens.
template <typename T, int R>
void WeighTile(const WeighWork& work, const T* keys, int64_t row) {
  const int head_dim = work.head_dim;
  const int width = static_cast<int>(RoundUp(work.tokens, kTokenBlock));
  const float* q = work.q + row * head_dim;
  float* weights = work.weights + row * kDenseTile;
  constexpr int kBlocks = kAccumulators / (R * kBlockVectors);  // of 16 tokens in registers
  constexpr int kMost = kBlocks >= 4 ? 4 : kBlocks >= 2 ? 2 : 1;
  int t = 0;
  for (; t + kMost * 16 <= width; t += kMost * 16) {
    KeyScores<T, R, kMost>(keys + int64_t{t} * head_dim, q, head_dim, weights + t);
  }
  for (; t < width; t += 16) {
    KeyScores<T, R, 1>(keys + int64_t{t} * head_dim, q, head_dim, weights + t);
  }
  if (work.softcap > 0) {
    for (int r = 0; r < R; ++r) CapRow(weights + r * kDenseTile, width, work.softcap);
  }
  float* max = work.state.max + row;
  for (int r = 0; r < R; ++r) {
    const int seen = Clamp(work.seen + (row + r) / work.gqa, 0, work.tokens);
    max[r] = MaskRow(weights + r * kDenseTile, seen, width, kNoScore);
  }
  for (int r = 0; r < R; ++r) {
    work.state.sum[row + r] = SoftmaxRow(weights + r * kDenseTile, width, max[r]);
  }
}

template <typename T>
using WeighTileFunction = void (*)(const WeighWork&, const T*, int64_t);

template <typename T, int... R>
struct WeighTiles {
  static constexpr WeighTileFunction<T> kOf[] = {nullptr, WeighTile<T, R>...};
};
template <typename T>
QS_INLINE WeighTileFunction<T> PickWeighTile(int64_t height) {
  if constexpr (kTileRows == 12) {
    return WeighTiles<T, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>::kOf[height];
  } else if constexpr (kTileRows == 2) {
    return WeighTiles<T, 1, 2>::kOf[height];
  } else {
    return WeighTiles<T, 1, 2, 3, 4, 5, 6>::kOf[height];
  }
}

template <typename T>
void WeighAllTiles(const WeighWork& work, const Tiling& tiling, const T* keys) {
  for (int64_t tile = 0; tile < tiling.tiles; ++tile) {
    PickWeighTile<T>(tiling.Height(tile))(work, keys, tiling.Begin(tile));
  }
}

inline void WeighTokens(const WeighWork& work) {
  ClearState(work.state, 0);
  const Tiling tiling(work.state.rows, kTileRows);
  if (work.type == KvType::kF32) {
    WeighAllTiles(work, tiling, reinterpret_cast<const float*>(work.keys));
    return;
  }
  const uint16_t* keys = reinterpret_cast<const uint16_t*>(work.keys);
  if (tiling.tiles <= 2) {
    WeighAllTiles(work, tiling, keys);
    return;
  }
  ConvertElements(keys, RoundUp(work.tokens, kTokenBlock) * work.head_dim, work.converted);
  WeighAllTiles<float>(work, tiling, work.converted);
}

inline void ShareTokens(const ShareWork& work) {
  float* factors = work.part.sum;
  for (int64_t row = 0; row < work.part.padded; row += Words::kLanes) {
    const F part =
        Exp2(Words::Sub(Words::Load(work.part.max + row), Words::Load(work.total.max + row)));
    Words::Store(factors + row, Words::Div(part, Words::Load(work.total.sum + row)));
  }
  for (int head = 0; head < work.gqa; ++head) {
    float* masses = work.masses + head * work.stride;
    for (int t = 0; t < work.tokens; t += Words::kLanes) {
      F sum = Words::Zero();
      for (int64_t row = head; row < work.part.rows; row += work.gqa) {
        sum = Words::Fma(Words::Load(work.weights + row * kDenseTile + t),
                         Words::Broadcast(factors + row), sum);
      }
      const int left = work.tokens - t;
      if (left < Words::kLanes) {
        Words::StorePart(masses + t, sum, left);
      } else {
        Words::Store(masses + t, sum);
      }
    }
  }
}

inline constexpr WeighKernels kWeighKernels{WeighTokens, ShareTokens};

}  // namespace quantspec::cpu::QS_ISA
