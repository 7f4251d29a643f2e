// Multiply-adds from registers over the words of one instruction set: the loops of the kernels
// without their loads.

namespace quantspec::cpu::QS_ISA {

// Makes the compiler take x, a word in registers, for changed: it then computes what depends on x
// anew, and x where it stands.
template <typename V>
QS_INLINE void Hide(V& x) {
  if constexpr (requires { x.even; }) {
    Hide(x.even);
    Hide(x.odd);
  } else if constexpr (requires { x.upper; }) {
    Hide(x.upper);
    Hide(x.lower);
  } else {
#if defined(__x86_64__)
    __asm__ volatile("" : "+v"(x));
#else
    __asm__ volatile("" : "+w"(x));
#endif
  }
}

// Vectors of sums: enough for two products a cycle that take five, and few enough for the registers
// of every instruction set.
inline constexpr int kPeakSums = kAccumulators < 12 ? kAccumulators : 12;

struct FloatProducts {
  using Codes = F;
  using Factor = F;
  using Partial = F;
  static constexpr int kMaxDots = 1 << 20;
  static constexpr int kProducts = 1;  // a lane and Dot
  static QS_INLINE Partial Zero() { return Words::Zero(); }
  static QS_INLINE Partial Dot(Partial sum, Codes a, Factor b) { return Words::Fma(a, b, sum); }
  static QS_INLINE F Total(Partial sum) { return sum; }
};
template <typename Bits>
struct CodeProducts : Bits {
  using Factor = Words::Quads;
  static constexpr int kProducts = 4;
};

// Sums that wrap after a few products (kMaxDots) are totalled as often as the kernels must.
template <typename Word>
QS_INLINE int64_t RunChains(typename Word::Codes codes, typename Word::Factor factor,
                            int64_t steps) {
  constexpr int kChains =
      kPeakSums / static_cast<int>(sizeof(typename Word::Partial) / sizeof(Words::F));
  constexpr int kDots = Word::kMaxDots < 256 ? Word::kMaxDots : 256;
  for (int64_t step = 0; step < steps; ++step) {
    typename Word::Partial sum[kChains];
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      sum[c] = Word::Zero();
    }
    for (int dot = 0; dot < kDots; ++dot) {
#pragma GCC unroll 12
      for (int c = 0; c < kChains; ++c) {
        Hide(factor);
        sum[c] = Word::Dot(sum[c], codes, factor);
        Hide(sum[c]);
      }
    }
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      auto total = Word::Total(sum[c]);
      Hide(total);
    }
  }
  return steps * kDots * kChains * Words::kLanes * Word::kProducts * 2;
}

alignas(64) inline constexpr uint8_t kPeakBytes[64] = {0x5A, 0x3C, 0x96, 0x17, 0xA5, 0x71, 0x2E};

template <typename Bits>
int64_t CodePeak(int64_t steps) {
  const std::byte* bytes = reinterpret_cast<const std::byte*>(kPeakBytes);
  const Words::Raw raw = Words::LoadRaw(bytes);
  const Words::Quads factor = Words::LoadQuads(reinterpret_cast<const int8_t*>(kPeakBytes));
  return RunChains<CodeProducts<Bits>>(Bits::Low(raw, raw), factor, steps);
}

inline int64_t FloatPeak(int64_t steps) {
  return RunChains<FloatProducts>(Words::Set(0.5f), Words::Set(0.75f), steps);
}

inline constexpr PeakKernels kPeakKernels{CodePeak<FourBits>, CodePeak<EightBits>, FloatPeak,
                                          nullptr};

}  // namespace quantspec::cpu::QS_ISA
