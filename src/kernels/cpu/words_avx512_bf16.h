// What AVX512_BF16 adds to the words of AVX-512: numbers rounded to bf16, two to a 32-bit lane, and
// their dot products. Included inside a target region of its own, after the other kernel texts.

namespace quantspec::cpu::QS_ISA {

using Pair = uint32_t;  // two bf16; the one to be summed first in the lower half

struct PairWords {
  using Pairs = __m512i;

  static QS_INLINE Pairs Load(const Pair* p) { return _mm512_loadu_si512(p); }
  static QS_INLINE Pairs Broadcast(const Pair* p) {
    return _mm512_set1_epi32(static_cast<int>(*p));
  }
  // sum + low a * low b + high a * high b, lane by lane.
  static QS_INLINE F Dot(F sum, Pairs a, Pairs b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  // Lane by lane: `low` and `high`, rounded to nearest even.
  static QS_INLINE void Store(Pair* p, F low, F high) {
    const __m512i lows = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
    const __m512i highs = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
    _mm512_storeu_si512(p, _mm512_or_si512(lows, _mm512_slli_epi32(highs, 16)));
  }
  // Pairs of the neighbours x[0], x[1]; x[2], x[3]; ... of 2 kLanes floats.
  static QS_INLINE void StoreNeighbours(Pair* p, const float* x) {
    _mm512_storeu_si512(
        p, (__m512i)_mm512_cvtne2ps_pbh(Words::Load(x + Words::kLanes), Words::Load(x)));
  }
};

}  // namespace quantspec::cpu::QS_ISA
