// Linear layers over the words of one instruction set. Layouts: matmul_kernels.h. After
// matmul_rows-inl.h, which prepares the rows.

namespace quantspec::cpu::QS_ISA {

inline constexpr int kHalves = kBlock / Words::kLanes;  // vectors of outputs in a block
// How many bytes ahead of their use a tile of R rows fetches weights; 0: it leaves that to the
// hardware. Tiles of more than half the most rows gain 15 to 25 % on every CPU (the next block
// instead, shared by its tiles, gains less); lower ones only on some. Not 4 KB: where the first
// cache would keep what it fetches is what is being read now, and one row takes 5 to 10 % longer.
template <int R>
QS_INLINE int64_t FetchAhead(const MatMulArgs& args, int most_rows) {
  return args.fetch_weights ? 3072 : 2 * R > most_rows + 1 ? 2048 : 0;
}
// Prepared rows that stay in L2 while the weights stream by.
inline constexpr int64_t kRowChunkBytes = 384 * 1024;

// -------------------------------------------------------------------------------- results

QS_INLINE void Put(const MatMulArgs& args, int64_t row, int64_t output, F value) {
  const int64_t left = args.outputs - output;
  if (left <= 0) return;
  float* y = args.y + row * args.y_stride + output;
  if (left >= Words::kLanes) {
    if (args.bias != nullptr) value = Words::Add(value, Words::Load(args.bias + output));
    if (args.accumulate) value = Words::Add(value, Words::Load(y));
    Words::Store(y, value);
  } else {
    const int n = static_cast<int>(left);
    if (args.bias != nullptr) value = Words::Add(value, Words::LoadPart(args.bias + output, n));
    if (args.accumulate) value = Words::Add(value, Words::LoadPart(y, n));
    Words::StorePart(y, value, n);
  }
}

// Makes the compiler read memory again, where it would keep what it read in registers that it does
// not have.
QS_INLINE void ForgetLoads() { __asm__ volatile("" ::: "memory"); }

// Loops over rows are recursive templates and every index of an accumulator is a constant: only so
// do compilers keep the arrays in registers.

template <int R, int r = 0>
QS_INLINE void ClearSums(F (*sum)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) sum[r][h] = Words::Zero();
  if constexpr (r + 1 < R) ClearSums<R, r + 1>(sum);
}

template <int R, int r = 0>
QS_INLINE void Finish(const MatMulArgs& args, int64_t block, int64_t row, const F (*sum)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) {
    Put(args, row + r, block * kBlock + h * Words::kLanes, sum[r][h]);
  }
  if constexpr (r + 1 < R) Finish<R, r + 1>(args, block, row, sum);
}

// The same for two records a row.
template <int R, int r = 0>
QS_INLINE void FinishPairs(const MatMulArgs& args, int64_t block, int64_t row,
                           const F (*sum)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) {
    Put(args, row + r / 2, block * kBlock + h * Words::kLanes,
        Words::Add(sum[r][h], sum[r + 1][h]));
  }
  if constexpr (r + 2 < R) FinishPairs<R, r + 2>(args, block, row, sum);
}

// ------------------------------------------------------------------------------ quantised

// Codes of one plane, or of both joined to bytes where the instruction set can sum those.
struct FourBits {
  using Codes = Words::Codes4;
  using Partial = Words::Partial4;
  static constexpr int kMaxDots = Words::kMaxDots;
  static constexpr bool kLower = false;
  static QS_INLINE Codes Low(Words::Raw u, Words::Raw) { return Words::Low4(u); }
  static QS_INLINE Codes High(Words::Raw u, Words::Raw) { return Words::High4(u); }
  static QS_INLINE Partial Zero() { return Words::ZeroPartial4(); }
  template <typename Q>
  static QS_INLINE Partial Dot(Partial p, Codes c, Q q) {
    return Words::Dot4(p, c, q);
  }
  static QS_INLINE I Total(Partial p) { return Words::Total4(p); }
};
struct EightBits {
  using Codes = Words::Codes8;
  using Partial = Words::Partial8;
  static constexpr int kMaxDots = Words::kMaxDots8;
  static constexpr bool kLower = true;
  static QS_INLINE Codes Low(Words::Raw u, Words::Raw l) { return Words::Low8(u, l); }
  static QS_INLINE Codes High(Words::Raw u, Words::Raw l) { return Words::High8(u, l); }
  static QS_INLINE Partial Zero() { return Words::ZeroPartial8(); }
  template <typename Q>
  static QS_INLINE Partial Dot(Partial p, Codes c, Q q) {
    return Words::Dot8(p, c, q);
  }
  static QS_INLINE I Total(Partial p) { return Words::Total8(p); }
};

// Adds four inputs (those at `at` of the 32) of all rows: one broadcast a row.
template <typename Bits, int R, int r = 0>
QS_INLINE void DotRows(const typename Bits::Codes* codes, const QuantRecord* x, int at,
                       typename Bits::Partial (*partial)[kHalves]) {
  const Words::Quad q = Words::LoadQuad(x[r].q + at);
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) partial[r][h] = Bits::Dot(partial[r][h], codes[h], q);
  if constexpr (r + 1 < R) DotRows<Bits, R, r + 1>(codes, x, at, partial);
}

// Adds inputs 8 v .. 31 of all rows.
template <typename Bits, int R, int v = 0>
QS_INLINE void DotVectors(const std::byte* upper, const std::byte* lower, int64_t ahead,
                          const QuantRecord* x, typename Bits::Partial (*partial)[kHalves]) {
  Words::Raw u[kHalves], l[kHalves];
  typename Bits::Codes codes[kHalves];
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) {
    u[h] = Words::LoadRaw(upper + 64 * v + h * 4 * Words::kLanes);
    l[h] = Bits::kLower ? Words::LoadRaw(lower + 64 * v + h * 4 * Words::kLanes) : u[h];
    codes[h] = Bits::Low(u[h], l[h]);
  }
  if (ahead != 0) {
    Words::Prefetch(upper + 64 * v + ahead);
    if (Bits::kLower) Words::Prefetch(lower + 64 * v + ahead);
  }
  DotRows<Bits, R>(codes, x, 8 * v, partial);
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) codes[h] = Bits::High(u[h], l[h]);
  DotRows<Bits, R>(codes, x, 8 * v + 4, partial);
  if constexpr (v < 3) DotVectors<Bits, R, v + 1>(upper, lower, ahead, x, partial);
}

template <typename Bits, int R, int r = 0>
QS_INLINE void ClearPartials(typename Bits::Partial (*partial)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) partial[r][h] = Bits::Zero();
  if constexpr (r + 1 < R) ClearPartials<Bits, R, r + 1>(partial);
}

template <typename Bits, int R, int r = 0>
QS_INLINE void TotalRows(const typename Bits::Partial (*partial)[kHalves], I (*dots)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) dots[r][h] = Bits::Total(partial[r][h]);
  if constexpr (r + 1 < R) TotalRows<Bits, R, r + 1>(partial, dots);
}

template <typename Bits, int R>
QS_INLINE void Dot32(const std::byte* upper, const std::byte* lower, int64_t ahead,
                     const QuantRecord* x, I (*dots)[kHalves]) {
  typename Bits::Partial partial[R][kHalves];
  ClearPartials<Bits, R>(partial);
  DotVectors<Bits, R>(upper, lower, ahead, x, partial);
  TotalRows<Bits, R>(partial, dots);
}

// dots = 16 dots + lower.
template <int R, int r = 0>
QS_INLINE void JoinPlanes(const I (*lower)[kHalves], I (*dots)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) {
    dots[r][h] = Words::AddInt(Words::ShiftLeft(dots[r][h], 4), lower[r][h]);
  }
  if constexpr (r + 1 < R) JoinPlanes<R, r + 1>(lower, dots);
}

// How a product sees its weights; see QuantRecord.
struct OnePlane {
  static constexpr bool kLower = false;
  static QS_INLINE F Scale(F s) { return s; }
  static QS_INLINE const float* Center(const QuantRecord* x) { return &x->center4; }
  template <int R>
  static QS_INLINE void Dots(const std::byte* upper, const std::byte*, int64_t ahead,
                             const QuantRecord* x, I (*dots)[kHalves]) {
    Dot32<FourBits, R>(upper, upper, ahead, x, dots);
  }
};
struct TwoPlanes {
  static constexpr bool kLower = true;
  static QS_INLINE F Scale(F s) { return Words::Mul(s, Words::Set(1.0f / 16)); }
  static QS_INLINE const float* Center(const QuantRecord* x) { return &x->center8; }
  template <int R>
  static QS_INLINE void Dots(const std::byte* upper, const std::byte* lower, int64_t ahead,
                             const QuantRecord* x, I (*dots)[kHalves]) {
    I lower_dots[R][kHalves];
    Dot32<FourBits, R>(lower, lower, ahead, x, lower_dots);
    ForgetLoads();
    Dot32<FourBits, R>(upper, upper, ahead, x, dots);
    JoinPlanes<R>(lower_dots, dots);
  }
};
// The same on whole bytes.
struct JoinedPlanes : TwoPlanes {
  template <int R>
  static QS_INLINE void Dots(const std::byte* upper, const std::byte* lower, int64_t ahead,
                             const QuantRecord* x, I (*dots)[kHalves]) {
    Dot32<EightBits, R>(upper, lower, ahead, x, dots);
  }
};

// Adds 32 inputs to the sums, or to those of a wide group (without the scale).
template <typename P, int R, bool kWideGroups, int r = 0>
QS_INLINE void AddRows(const I (*dots)[kHalves], const F* scale, const F* zero,
                       const QuantRecord* x, F (*sum)[kHalves], F (*wide)[kHalves]) {
  const F x_scale = Words::Broadcast(&x[r].scale);
  const F x_center = Words::Broadcast(P::Center(x + r));
  const F x_sum = Words::Broadcast(&x[r].sum);
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) {
    const F t = Words::Fma(x_scale, Words::ToFloat(dots[r][h]), x_center);
    sum[r][h] = Words::Fma(zero[h], x_sum, sum[r][h]);
    if constexpr (kWideGroups) {
      wide[r][h] = Words::Add(wide[r][h], t);
    } else {
      sum[r][h] = Words::Fma(scale[h], t, sum[r][h]);
    }
  }
  if constexpr (r + 1 < R) AddRows<P, R, kWideGroups, r + 1>(dots, scale, zero, x, sum, wide);
}

template <int R, int r = 0>
QS_INLINE void AddWide(const F* scale, const F (*wide)[kHalves], F (*sum)[kHalves]) {
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) sum[r][h] = Words::Fma(scale[h], wide[r][h], sum[r][h]);
  if constexpr (r + 1 < R) AddWide<R, r + 1>(scale, wide, sum);
}

template <typename P>
QS_INLINE void LoadScales(const std::byte* scales, int64_t ahead, F* scale, F* zero) {
  if (ahead != 0) Words::Prefetch(scales + ahead);
  const uint16_t* values = reinterpret_cast<const uint16_t*>(scales);
#pragma GCC unroll 4
  for (int h = 0; h < kHalves; ++h) {
    scale[h] = P::Scale(Words::LoadF16(values + h * Words::kLanes));
    zero[h] = Words::LoadF16(values + kBlock + h * Words::kLanes);
  }
}

// R records times one block of outputs. Reads the block's bytes once: bound by memory for few rows,
// by dot products (8 a row and 32 inputs) for many.
template <typename P, int R, bool kWideGroups>
inline void QuantizedTile(const MatMulArgs& args, int64_t block, const QuantRecord* x,
                          int64_t row) {
  const int64_t subgroups = kWideGroups ? args.group / kQuantGroup : 1;
  const int64_t groups = args.inputs / args.group;
  const std::byte* upper = args.upper + block * UpperBlockBytes(args.inputs, args.group);
  const std::byte* lower = P::kLower ? args.lower + block * LowerBlockBytes(args.inputs) : upper;
  const int64_t ahead = FetchAhead<R>(args, kQuantizedRows);
  F sum[R][kHalves];
  ClearSums<R>(sum);
  for (int64_t g = 0; g < groups; ++g) {
    const std::byte* scales = upper + subgroups * kCodeBytes;
    F wide[R][kHalves];
    if constexpr (kWideGroups) ClearSums<R>(wide);
    for (int64_t s = 0; s < subgroups; ++s) {
      I dots[R][kHalves];
      P::template Dots<R>(upper, lower, ahead, x, dots);
      F scale[kHalves], zero[kHalves];
      LoadScales<P>(scales, ahead, scale, zero);
      AddRows<P, R, kWideGroups>(dots, scale, zero, x, sum, wide);
      upper += kCodeBytes;
      if constexpr (P::kLower) lower += kCodeBytes;
      x += R;
    }
    if constexpr (kWideGroups) {
      F scale[kHalves], zero[kHalves];
      LoadScales<P>(scales, ahead, scale, zero);
      AddWide<R>(scale, wide, sum);
    }
    upper += kScaleBytes;
  }
  if constexpr (R % 2 == 0) {
    if (args.x_planes == 2) {
      FinishPairs<R>(args, block, row, sum);
      return;
    }
  }
  Finish<R>(args, block, row, sum);
}

using QuantizedTileFunction = void (*)(const MatMulArgs&, int64_t, const QuantRecord*, int64_t);

// The tile of `height` rows, 1 <= height <= R.
template <typename P, bool kWideGroups, int R = kQuantizedRows>
QuantizedTileFunction PickQuantizedTile(int64_t height) {
  if constexpr (R > 1) {
    if (height < R) return PickQuantizedTile<P, kWideGroups, R - 1>(height);
  }
  return QuantizedTile<P, R, kWideGroups>;
}

template <typename P>
QuantizedTileFunction PickQuantizedTile(const MatMulArgs& args, int64_t height) {
  return args.group == kQuantGroup ? PickQuantizedTile<P, false>(height)
                                   : PickQuantizedTile<P, true>(height);
}

inline QuantizedTileFunction PickQuantizedTile(const MatMulArgs& args, int64_t height) {
  if (args.lower == nullptr) return PickQuantizedTile<OnePlane>(args, height);
  if constexpr (Words::kSumsBytes) {
    return PickQuantizedTile<JoinedPlanes>(args, height);
  } else {
    // Inputs in two planes are rounded as Dot8 may take them.
    if constexpr (sizeof(Words::Partial8) == sizeof(I)) {
      if (args.x_planes == 2) return PickQuantizedTile<JoinedPlanes>(args, height);
    }
    return PickQuantizedTile<TwoPlanes>(args, height);
  }
}

// Every block meets all tiles of a chunk of rows while it is in the cache.
inline void Quantized(const MatMulArgs& args, int64_t first, int64_t last) {
  const int planes = args.x_planes;
  const Tiling tiling(args.rows, kQuantizedRows / planes);
  const int64_t groups = args.inputs / kQuantGroup;
  const QuantRecord* x = reinterpret_cast<const QuantRecord*>(args.x);
  const int64_t tile_bytes = kQuantizedRows * groups * static_cast<int64_t>(sizeof(QuantRecord));
  const int64_t chunk = kRowChunkBytes / tile_bytes > 1 ? kRowChunkBytes / tile_bytes : 1;
  // Heights differ by one row at most.
  const int64_t low = tiling.rows / tiling.tiles;
  const int64_t high = tiling.tiles * low < tiling.rows ? low + 1 : low;
  const QuantizedTileFunction function[2] = {PickQuantizedTile(args, planes * low),
                                             PickQuantizedTile(args, planes * high)};
  for (int64_t tile0 = 0; tile0 < tiling.tiles; tile0 += chunk) {
    const int64_t tile1 = tile0 + chunk < tiling.tiles ? tile0 + chunk : tiling.tiles;
    for (int64_t block = first; block < last; ++block) {
      for (int64_t tile = tile0; tile < tile1; ++tile) {
        const int64_t row = tiling.Begin(tile);
        function[tiling.Height(tile) - low](args, block, x + planes * row * groups, row);
      }
    }
  }
}

}  // namespace quantspec::cpu::QS_ISA
