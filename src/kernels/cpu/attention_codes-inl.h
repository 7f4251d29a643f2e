// Integer dot products of a tile of rows with the codes of a group. Exact, so the height of the
// tile and the order of sums are free.

namespace quantspec::cpu::QS_ISA {

template <bool kBothPlanes>
struct Codes;
template <>
struct Codes<false> {
  using Type = Words::Codes4;
  using Partial = Words::Partial4;
  static constexpr float kKeyCenter = 7.5f;
  static constexpr float kValueCenter = 7.5f;
  static constexpr float kStep = 1.0f;
  static constexpr int kChains = 1;
  static constexpr int kMaxKeyDots = Words::kMaxPairDots;
  static constexpr int kMaxValueDots = Words::kMaxDots;
  static QS_INLINE Type Low(Words::Raw u, Words::Raw) { return Words::Low4(u); }
  static QS_INLINE Type High(Words::Raw u, Words::Raw) { return Words::High4(u); }
  static QS_INLINE Partial Zero() { return Words::ZeroPartial4(); }
  static QS_INLINE Type Center(Type c) { return c; }
  static QS_INLINE Partial Dot(Partial p, Type c, Words::Quad q) { return Words::Dot4(p, c, q); }
  static QS_INLINE Partial DotWeights(Partial p, Type c, Words::Quad w) {
    return Words::Dot4(p, c, w);
  }
  static QS_INLINE I Total(Partial p) { return Words::Total4(p); }
};
template <>
struct Codes<true> {
  using Type = Words::Codes8;
  using Partial = Words::Partial8;
  static constexpr float kKeyCenter = 128.0f;
  static constexpr float kValueCenter = Words::kCenters ? 0.0f : 128.0f;
  static constexpr float kStep = 1.0f / 16;
  static constexpr int kChains = sizeof(Partial) / sizeof(I);
  static constexpr int kMaxKeyDots = Words::kMaxDots8;
  static constexpr int kMaxValueDots = Words::kMaxDots8;
  static QS_INLINE Type Low(Words::Raw u, Words::Raw l) { return Words::Low8(u, l); }
  static QS_INLINE Type High(Words::Raw u, Words::Raw l) { return Words::High8(u, l); }
  static QS_INLINE Partial Zero() { return Words::ZeroPartial8(); }
  static QS_INLINE Type Center(Type c) { return Words::CenterCodes(c); }
  static QS_INLINE Partial Dot(Partial p, Type c, Words::Quad q) { return Words::Dot8(p, c, q); }
  static QS_INLINE Partial DotWeights(Partial p, Type c, Words::Quad w) {
    return Words::DotWeights8(p, c, w);
  }
  static QS_INLINE I Total(Partial p) { return Words::Total8(p); }
};

// Codes are fetched ahead of their use, which gains 5 to 20 %: near by, into the first cache, on
// CPUs that gain most by it (5 to 15 % less time than into L2), into L2 on others.
template <bool kBothPlanes, PlaneFetch kFetch>
struct FetchedCodes : Codes<kBothPlanes> {
  static constexpr bool kBoth = kBothPlanes;
  static constexpr bool kNear = kFetch == PlaneFetch::kNear;
  static constexpr int64_t kAhead = kNear ? 2560 : 4096;  // bytes of a plane
  static QS_INLINE void Fetch(const std::byte* p) {
    kNear ? Words::Prefetch(p) : Words::PrefetchL2(p);
  }
  template <int R>
  static QS_INLINE void Fetch(const std::byte* upper, const std::byte* lower, int64_t ahead) {
    if constexpr (kBoth && kFetch == PlaneFetch::kFarForSomeRows && R < Words::kFetchRows) return;
    Fetch(upper + ahead);
    if constexpr (kBoth) Fetch(lower + ahead);
  }
  // From a block at `at` of a group to what is fetched when it is read: in the same group, or in
  // the one read next, which begins `skip` bytes behind this one's end. Targets, which read both
  // planes, mostly read neighbouring slots, and a constant is cheaper.
  static QS_INLINE int64_t Ahead(int head_dim, int64_t at, int64_t skip) {
    if (kBoth) return kAhead;
    return kAhead + (at + kAhead < PlaneGroupBytes(head_dim) ? 0 : skip);
  }
};

// Sums that each row keeps a vector of lanes for: the weights', and both value groups' offsets
// (what all channels of a value group have in common).
inline constexpr int kLaneSums = 3;

// Rows of a tile. With many registers the sums of all fill them, and the nibbles of keys, which
// have sums of their own, are then taken one after the other.
inline constexpr int kSealedRows = Words::kRegisters == 32 ? 16 : kTileRows;

// A tile of R rows against one group: what stands between its steps. Weights are relative to the
// largest of the group itself, so that nothing waits for the state.
template <int R>
struct SealedTileMemory {
  alignas(64) int8_t q[R][256];
  alignas(64) int8_t weights[R][2][kKvGroup];
  alignas(64) float scores[R][kKvGroup];  // integer dot products with keys
  alignas(64) int32_t dots[R][kKvGroup];  // so far, where they need several Totals
  alignas(64) float lanes[R][kLaneSums * Words::kLanes];
  // What a value group's weights are relative to. All 16 numbers are computed with, so those of
  // rows that are not there must be harmless.
  alignas(64) float max[2][16] = {};
  alignas(64) float keep[16];          // the factor of the state so far, ...
  alignas(64) float take[2][16];       // ... of this group, ...
  alignas(64) float code_take[2][16];  // ... and of its integer sums
  alignas(64) float scaled[R][256];    // q_c S_c before rounding
  alignas(64) float inverse[16];
  alignas(64) float q_scale[16];
  alignas(64) float q_base[16] = {};
  alignas(64) float score_scale[16];  // q_scale, in units of 2^-23
  alignas(64) float shift[16];        // q_base less a value group's max and 1, likewise
  int64_t skip;                       // bytes of a plane between this group and the next one read
};

// Scores of a row and one vector of tokens. Sums of more dots than a partial may take go through
// memory.
template <int R>
QS_INLINE void AddTotal(SealedTileMemory<R>& tile, int row, int token, I total, bool is_first,
                        bool is_last) {
  int32_t* dots = &tile.dots[row][token];
  if (!is_first) total = Words::AddInt(total, Words::LoadInt(dots));
  if (is_last) {
    Words::Store(&tile.scores[row][token], Words::ToFloat(total));
  } else {
    Words::StoreInt(dots, total);
  }
}

// One block of 32 tokens, lanes [h * kLanes, ...): the low nibbles' tokens, the high ones', or both
// at once where the registers allow it.
enum Nibbles { kLow = 1, kHigh = 2, kLowAndHigh = 3 };

template <typename C, int R, int kNibbles>
QS_INLINE void KeyBlock(const std::byte* upper, const std::byte* lower, SealedTileMemory<R>& tile,
                        int quads, int token, int64_t ahead) {
  for (int first = 0; first < quads; first += C::kMaxKeyDots) {
    const int last = first + C::kMaxKeyDots < quads ? first + C::kMaxKeyDots : quads;
    typename C::Partial low[R], high[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) low[r] = high[r] = C::Zero();
    for (int quad = first; quad < last; ++quad) {
      C::template Fetch<R>(upper, lower, quad * 64 + ahead);
      const Words::Raw u = Words::LoadRaw(upper + quad * 64);
      const Words::Raw l = C::kBoth ? Words::LoadRaw(lower + quad * 64) : u;
      const typename C::Type low_codes = C::Low(u, l);
      const typename C::Type high_codes = C::High(u, l);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Words::Quad q = Words::LoadQuad(&tile.q[r][4 * quad]);
        if constexpr ((kNibbles & kLow) != 0) low[r] = C::Dot(low[r], low_codes, q);
        if constexpr ((kNibbles & kHigh) != 0) high[r] = C::Dot(high[r], high_codes, q);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const bool is_first = first == 0, is_last = last == quads;
      if constexpr ((kNibbles & kLow) != 0) {
        AddTotal<R>(tile, r, token, C::Total(low[r]), is_first, is_last);
      }
      if constexpr ((kNibbles & kHigh) != 0) {
        AddTotal<R>(tile, r, token + 16, C::Total(high[r]), is_first, is_last);
      }
    }
  }
}

template <typename C, int R>
QS_INLINE void KeyDots(const std::byte* upper, const std::byte* lower, int head_dim,
                       SealedTileMemory<R>& tile) {
  const int quads = head_dim / 4;
  for (int block = 0; block < kKvGroup / 32; ++block) {
    for (int h = 0; h < kBlockVectors; ++h) {
      const int64_t at = int64_t{block} * quads * 64 + h * 4 * Words::kLanes;
      const std::byte* lower_at = C::kBoth ? lower + at : nullptr;
      const int token = 32 * block + h * Words::kLanes;
      const int64_t ahead = C::Ahead(head_dim, at, tile.skip);
      if constexpr (2 * R * C::kChains <= kAccumulators) {
        KeyBlock<C, R, kLowAndHigh>(upper + at, lower_at, tile, quads, token, ahead);
      } else {
        KeyBlock<C, R, kLow>(upper + at, lower_at, tile, quads, token, ahead);
        KeyBlock<C, R, kHigh>(upper + at, lower_at, tile, quads, token, ahead);
      }
    }
  }
}

// One vector of channels; 128 tokens, 8 a vector of codes. Row r's sums are at values + r *
// head_dim.
template <typename C, int R>
QS_INLINE void ValueVector(const std::byte* upper, const std::byte* lower,
                           SealedTileMemory<R>& tile, int part, int head_dim, int64_t ahead,
                           float* values) {
  constexpr int kOctets = kKvGroup / 8;
  constexpr bool kTwoChains = 2 * R * C::kChains <= kAccumulators / 2;
  constexpr int kDotsFit = kTwoChains ? C::kMaxValueDots : C::kMaxValueDots / 2;
  constexpr int kStride = kDotsFit < kOctets ? kDotsFit : kOctets;
  for (int first = 0; first < kOctets; first += kStride) {
    // Low and high nibbles have sums of their own, so that few rows are not bound by the latency of
    // a dot product.
    typename C::Partial low[R], high[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) low[r] = high[r] = C::Zero();
    for (int octet = first; octet < first + kStride; ++octet) {
      C::template Fetch<R>(upper, lower, octet * 64 + ahead);
      const Words::Raw u = Words::LoadRaw(upper + octet * 64);
      const Words::Raw l = C::kBoth ? Words::LoadRaw(lower + octet * 64) : u;
      const typename C::Type low_codes = C::Center(C::Low(u, l));
      const typename C::Type high_codes = C::Center(C::High(u, l));
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const int8_t* w = &tile.weights[r][part][8 * octet];
        low[r] = C::DotWeights(low[r], low_codes, Words::LoadQuad(w));
        typename C::Partial& sum = kTwoChains ? high[r] : low[r];
        sum = C::DotWeights(sum, high_codes, Words::LoadQuad(w + 4));
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      I total = C::Total(low[r]);
      if constexpr (kTwoChains) total = Words::AddInt(total, C::Total(high[r]));
      if constexpr (kStride < kOctets) {
        if (first > 0) total = Words::AddInt(total, Words::LoadInt(tile.dots[r]));
        if (first + kStride < kOctets) {
          Words::StoreInt(tile.dots[r], total);
          continue;
        }
      }
      float* sums = values + r * head_dim;
      Words::Store(sums,
                   Words::Fma(Words::ToFloat(total), Words::Broadcast(tile.code_take[part] + r),
                              Words::Mul(Words::Load(sums), Words::Broadcast(tile.keep + r))));
    }
  }
}

template <typename C, int R>
QS_INLINE void ValueDots(const std::byte* upper, const std::byte* lower, int head_dim,
                         SealedTileMemory<R>& tile, float* values) {
  for (int block = 0; block < head_dim / 16; ++block) {
    for (int h = 0; h < kBlockVectors; ++h) {
      const int64_t at = int64_t{block} * (kKvGroup / 8) * 64 + h * 4 * Words::kLanes;
      const int channel = 16 * block + h * Words::kLanes;
      const int64_t ahead = C::Ahead(head_dim, KeyCodeBytes(head_dim) + at, tile.skip);
      ValueVector<C, R>(upper + at, C::kBoth ? lower + at : nullptr, tile, channel / kKvGroup,
                        head_dim, ahead, values + channel);
    }
  }
}

}  // namespace quantspec::cpu::QS_ISA
