// The words of AVX-512 (F, BW, DQ, VL, VNNI). Included inside a target region, once.
// What each word means is said in words_portable.h.

namespace quantspec::cpu::QS_ISA {

struct Words {
  static constexpr int kLanes = 16;
  static constexpr int kMaxDots = 1 << 20;
  static constexpr int kMaxDots8 = 1 << 20;
  static constexpr int kMaxPairDots = 1 << 20;
  static constexpr bool kCenters = false;
  static constexpr int kFetchRows = 4;  // Zen 4, 3 rows: 22.6 GB/s without, 18.5 with, one thread
  static constexpr int kRegisters = 32;
  static constexpr bool kSumsBytes = true;
  using F = __m512;
  using I = __m512i;
  using Raw = __m512i;
  using Codes4 = __m512i;
  using Codes8 = __m512i;
  // In memory: instructions broadcast it as they read it.
  struct Quad {
    const int8_t* bytes;
  };
  using Quads = __m512i;
  using Partial4 = __m512i;
  using Partial8 = __m512i;

  // ---- float
  static QS_INLINE F Zero() { return _mm512_setzero_ps(); }
  static QS_INLINE F Set(float x) { return _mm512_set1_ps(x); }
  static QS_INLINE F Broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static QS_INLINE F Load(const float* p) { return _mm512_loadu_ps(p); }
  static QS_INLINE void Store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static QS_INLINE __mmask16 Mask(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static QS_INLINE F LoadPart(const float* p, int n) { return _mm512_maskz_loadu_ps(Mask(n), p); }
  static QS_INLINE void StorePart(float* p, F x, int n) { _mm512_mask_storeu_ps(p, Mask(n), x); }
  static QS_INLINE F LoadF16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static QS_INLINE void StoreF16(uint16_t* p, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static QS_INLINE F LowBf16(Raw pairs) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
  }
  static QS_INLINE F HighBf16(Raw pairs) {
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
  }
  static QS_INLINE F Add(F a, F b) { return _mm512_add_ps(a, b); }
  static QS_INLINE F Sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static QS_INLINE F Mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static QS_INLINE F Div(F a, F b) { return _mm512_div_ps(a, b); }
  static QS_INLINE F Fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static QS_INLINE F Max(F a, F b) { return _mm512_max_ps(a, b); }
  static QS_INLINE F MaxNegative(F a, F b) {
    return _mm512_castsi512_ps(_mm512_min_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
  }
  static QS_INLINE F Min(F a, F b) { return _mm512_min_ps(a, b); }
  static QS_INLINE F Abs(F a) { return _mm512_abs_ps(a); }
  static QS_INLINE F Magnitude(F x) { return Abs(x); }
  static QS_INLINE float Sum(F x) { return _mm512_reduce_add_ps(x); }
  static QS_INLINE float MaxOf(F x) { return _mm512_reduce_max_ps(x); }
  // Lanes 0 and 1 of every four of a, then of b; and lanes 2 and 3.
  static QS_INLINE F LowPairs(F a, F b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static QS_INLINE F HighPairs(F a, F b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  template <F (*op)(F, F)>
  static QS_INLINE void JoinLanes4(float* out, F a, F b, F c, F d) {
    const F ab = op(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const F cd = op(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    F all = op(LowPairs(ab, cd), HighPairs(ab, cd));
    all = op(all, _mm512_shuffle_f32x4(all, all, 0x4E));
    all = op(all, _mm512_shuffle_f32x4(all, all, 0xB1));
    _mm_storeu_ps(out, _mm512_castps512_ps128(all));
  }
  static QS_INLINE F Round(F x) { return _mm512_roundscale_ps(x, 0); }
  static QS_INLINE F Scale2(F x, F n) { return _mm512_scalef_ps(x, n); }
  static QS_INLINE F MantissaOf(I x) {
    // (x & mask) | one: ternary logic 0xEA.
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(x, _mm512_set1_epi32(0x007FFFFF),
                                                         _mm512_set1_epi32(0x3F800000), 0xEA));
  }
  static QS_INLINE F AddBits(F x, I n) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), n));
  }

  // ---- integers
  static QS_INLINE I ToInt(F x) { return _mm512_cvtps_epi32(x); }
  static QS_INLINE I ToLargeInt(F x) { return ToInt(x); }
  static QS_INLINE F ToFloat(I x) { return _mm512_cvtepi32_ps(x); }
  static QS_INLINE I BitsOf(F x) { return _mm512_castps_si512(x); }
  static QS_INLINE I ZeroInt() { return _mm512_setzero_si512(); }
  static QS_INLINE I SetInt(int x) { return _mm512_set1_epi32(x); }
  static QS_INLINE I LoadInt(const int32_t* p) { return _mm512_loadu_si512(p); }
  static QS_INLINE void StoreInt(void* p, I x) { _mm512_storeu_si512(p, x); }
  static QS_INLINE I AddInt(I a, I b) { return _mm512_add_epi32(a, b); }
  static QS_INLINE I ShiftLeft(I a, int bits) {
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits));
  }
  static QS_INLINE I ShiftRight(I a, int bits) {
    return _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits));
  }
  static QS_INLINE I And(I a, I b) { return _mm512_and_si512(a, b); }
  static QS_INLINE int SumInt(I x) { return _mm512_reduce_add_epi32(x); }
  static QS_INLINE void StoreBytes(int8_t* p, I x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x));
  }

  static QS_INLINE I LoadBytes(const int8_t* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static QS_INLINE I PackBytes(const I* x) {
    const __m512i words =
        _mm512_packs_epi16(_mm512_packs_epi32(x[0], x[1]), _mm512_packs_epi32(x[2], x[3]));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, words);
  }
  static QS_INLINE I AddBytes(I sum, I bytes) {
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), bytes);
  }

  // ---- codes
  static QS_INLINE Raw LoadRaw(const std::byte* p) {
    return _mm512_loadu_si512(reinterpret_cast<const void*>(p));
  }
  static QS_INLINE Codes4 Low4(Raw upper) {
    return _mm512_and_si512(upper, _mm512_set1_epi8(0x0F));
  }
  static QS_INLINE Codes4 High4(Raw upper) {
    return _mm512_and_si512(_mm512_srli_epi32(upper, 4), _mm512_set1_epi8(0x0F));
  }
  // (a & ~mask) | (b & mask): ternary logic 0xD8 picks by the third operand.
  static QS_INLINE Codes8 Low8(Raw upper, Raw lower) {
    return _mm512_ternarylogic_epi32(_mm512_slli_epi32(upper, 4), lower, _mm512_set1_epi8(0x0F),
                                     0xD8);
  }
  static QS_INLINE Codes8 High8(Raw upper, Raw lower) {
    return _mm512_ternarylogic_epi32(upper, _mm512_srli_epi32(lower, 4), _mm512_set1_epi8(0x0F),
                                     0xD8);
  }
  static QS_INLINE Quad LoadQuad(const int8_t* p) { return {p}; }
  static QS_INLINE Quads LoadQuads(const int8_t* p) {
    return _mm512_loadu_si512(reinterpret_cast<const void*>(p));
  }
  static QS_INLINE Partial4 ZeroPartial4() { return _mm512_setzero_si512(); }
  static QS_INLINE Partial8 ZeroPartial8() { return _mm512_setzero_si512(); }
  // In assembly, because GCC 12 neither broadcasts in the product nor sums in place: it makes three
  // to four instructions of it, and a core that two threads share has few to spare.
  static QS_INLINE Partial4 Dot4(Partial4 sum, Codes4 codes, Quad q) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(sum)
            : "v"(codes), "m"(*reinterpret_cast<const int8_t(*)[4]>(q.bytes)));
    return sum;
  }
  static QS_INLINE Partial8 Dot8(Partial8 sum, Codes8 codes, Quad q) { return Dot4(sum, codes, q); }
  static QS_INLINE Partial4 Dot4(Partial4 sum, Codes4 codes, Quads q) {
    return _mm512_dpbusd_epi32(sum, codes, q);
  }
  static QS_INLINE Partial8 Dot8(Partial8 sum, Codes8 codes, Quads q) {
    return Dot4(sum, codes, q);
  }
  static QS_INLINE Codes8 CenterCodes(Codes8 codes) { return codes; }
  static QS_INLINE Partial8 DotWeights8(Partial8 sum, Codes8 codes, Quad weights) {
    return Dot8(sum, codes, weights);
  }
  static QS_INLINE I Total4(Partial4 sum) { return sum; }
  static QS_INLINE I Total8(Partial8 sum) { return sum; }

  static QS_INLINE void PrefetchL2(const std::byte* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
  }
  static QS_INLINE void Prefetch(const std::byte* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }
};

}  // namespace quantspec::cpu::QS_ISA
