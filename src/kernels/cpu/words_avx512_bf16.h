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
    const __m512i apart = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    const __m512i lows_and_highs = _mm512_permutexvar_epi16(Interleaved(), apart);
    _mm512_storeu_si512(p, lows_and_highs);
  }
  // The order 0, 16, 1, 17, ... of 16-bit lanes.
  static QS_INLINE __m512i Interleaved() {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_or_si512(lane,
                           _mm512_slli_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(16)), 16));
  }
  // Pairs of the neighbours x[0], x[1]; x[2], x[3]; ... of 2 kLanes floats.
  static QS_INLINE void StoreNeighbours(Pair* p, const float* x) {
    StoreNeighbours(p, Words::Load(x), Words::Load(x + Words::kLanes));
  }
  static QS_INLINE void StoreNeighbours(Pair* p, F first, F second) {
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(second, first));
  }
};

}  // namespace quantspec::cpu::QS_ISA
