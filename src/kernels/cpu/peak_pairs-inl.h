// The same for dot products of pairs of bf16, in a region of their own: a template of another
// region cannot call these words.

namespace quantspec::cpu::QS_ISA {

inline int64_t PairPeak(int64_t steps) {
  constexpr int kDots = 256;
  const Pair pair = 0x3F003F40u;  // 0.75 and 0.5
  const PairWords::Pairs a = PairWords::Broadcast(&pair);
  for (int64_t step = 0; step < steps; ++step) {
    F sum[kPeakSums];
#pragma GCC unroll 12
    for (int c = 0; c < kPeakSums; ++c) sum[c] = Words::Zero();
    for (int dot = 0; dot < kDots; ++dot) {
#pragma GCC unroll 12
      for (int c = 0; c < kPeakSums; ++c) {
        sum[c] = PairWords::Dot(sum[c], a, a);
        __asm__ volatile("" : "+v"(sum[c]));
      }
    }
  }
  return steps * kDots * kPeakSums * Words::kLanes * 2 * 2;
}

inline constexpr PeakKernels kPairPeakKernels{kPeakKernels.int4, kPeakKernels.int8,
                                              kPeakKernels.f32, PairPeak};

}  // namespace quantspec::cpu::QS_ISA
