// The words of AVX2, FMA and F16C; and, with QS_ISA_AVX_VNNI defined, of AVX-VNNI, which differs
// in the dot products only. Included inside a target region, once. What each word means is said in
// words_portable.h.

namespace quantspec::cpu::QS_ISA {

struct WordsBase {
  static constexpr int kLanes = 8;
#if defined(QS_ISA_AVX_VNNI)
  static constexpr int kMaxDots = 1 << 20;
  static constexpr int kMaxPairDots = 1 << 20;
  static constexpr bool kSumsBytes = true;
  static constexpr bool kCenters = false;
#else
  static constexpr int kMaxDots = 8;
  static constexpr int kMaxPairDots = 16;
  static constexpr bool kSumsBytes = false;
  static constexpr bool kCenters = true;
#endif
  static constexpr int kMaxDots8 = 1 << 20;
  static constexpr int kFetchRows = 1;  // Zen 3, 3 rows: 338 us without, 281 with, two threads
  static constexpr int kRegisters = 16;
  using F = __m256;
  using I = __m256i;
  using Raw = __m256i;
  using Quad = __m256i;
  using Quads = Quad;

  // ---- float
  static QS_INLINE F Zero() { return _mm256_setzero_ps(); }
  static QS_INLINE F Set(float x) { return _mm256_set1_ps(x); }
  static QS_INLINE F Broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static QS_INLINE F Load(const float* p) { return _mm256_loadu_ps(p); }
  static QS_INLINE void Store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static QS_INLINE __m256i Mask(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static QS_INLINE F LoadPart(const float* p, int n) { return _mm256_maskload_ps(p, Mask(n)); }
  static QS_INLINE void StorePart(float* p, F x, int n) { _mm256_maskstore_ps(p, Mask(n), x); }
  static QS_INLINE F LoadF16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static QS_INLINE void StoreF16(uint16_t* p, F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static QS_INLINE F LowBf16(Raw pairs) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
  }
  static QS_INLINE F HighBf16(Raw pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)));
  }
  static QS_INLINE F Add(F a, F b) { return _mm256_add_ps(a, b); }
  static QS_INLINE F Sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static QS_INLINE F Mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static QS_INLINE F Div(F a, F b) { return _mm256_div_ps(a, b); }
  static QS_INLINE F Fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static QS_INLINE F Max(F a, F b) { return _mm256_max_ps(a, b); }
  static QS_INLINE F MaxNegative(F a, F b) {
    return _mm256_castsi256_ps(_mm256_min_epu32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
  }
  static QS_INLINE F Min(F a, F b) { return _mm256_min_ps(a, b); }
  static QS_INLINE F Abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static QS_INLINE float Sum(F x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static QS_INLINE float MaxOf(F x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
  // Lanes 0 and 1 of every four of a, then of b; and lanes 2 and 3.
  static QS_INLINE F LowPairs(F a, F b) {
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  }
  static QS_INLINE F HighPairs(F a, F b) {
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  }
  template <F (*op)(F, F)>
  static QS_INLINE void JoinLanes4(float* out, F a, F b, F c, F d) {
    const F ab = op(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    const F cd = op(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    F all = op(LowPairs(ab, cd), HighPairs(ab, cd));
    all = op(all, _mm256_permute2f128_ps(all, all, 1));
    _mm_storeu_ps(out, _mm256_castps256_ps128(all));
  }
  static QS_INLINE F Round(F x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  // Two factors, so that results may be subnormal or reach the largest float.
  static QS_INLINE F Scale2(F x, F n) {
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    const __m256i rest = _mm256_sub_epi32(whole, half);
    return _mm256_mul_ps(_mm256_mul_ps(x, PowerOf2(half)), PowerOf2(rest));
  }
  static QS_INLINE F MantissaOf(I x) {
    const __m256i mantissa = _mm256_and_si256(x, _mm256_set1_epi32(0x007FFFFF));
    return _mm256_castsi256_ps(_mm256_or_si256(mantissa, _mm256_set1_epi32(0x3F800000)));
  }
  static QS_INLINE F AddBits(F x, I n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), n));
  }
  static QS_INLINE F PowerOf2(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }

  // ---- integers
  static QS_INLINE I ToInt(F x) { return _mm256_cvtps_epi32(x); }
  static QS_INLINE I ToLargeInt(F x) { return ToInt(x); }
  static QS_INLINE F ToFloat(I x) { return _mm256_cvtepi32_ps(x); }
  static QS_INLINE I BitsOf(F x) { return _mm256_castps_si256(x); }
  static QS_INLINE I ZeroInt() { return _mm256_setzero_si256(); }
  static QS_INLINE I SetInt(int x) { return _mm256_set1_epi32(x); }
  static QS_INLINE I LoadInt(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static QS_INLINE void StoreInt(void* p, I x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
  static QS_INLINE I AddInt(I a, I b) { return _mm256_add_epi32(a, b); }
  static QS_INLINE I ShiftLeft(I a, int bits) {
    return _mm256_sll_epi32(a, _mm_cvtsi32_si128(bits));
  }
  static QS_INLINE I ShiftRight(I a, int bits) {
    return _mm256_srl_epi32(a, _mm_cvtsi32_si128(bits));
  }
  static QS_INLINE I And(I a, I b) { return _mm256_and_si256(a, b); }
  static QS_INLINE int SumInt(I x) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
  }
  static QS_INLINE void StoreBytes(int8_t* p, I x) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }

  static QS_INLINE I LoadBytes(const int8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static QS_INLINE I PackBytes(const I* x) {
    const __m256i words =
        _mm256_packs_epi16(_mm256_packs_epi32(x[0], x[1]), _mm256_packs_epi32(x[2], x[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm256_permutevar8x32_epi32(words, order);
  }

  // ---- codes
  static QS_INLINE Raw LoadRaw(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static QS_INLINE __m256i LowNibbles(Raw x) { return _mm256_and_si256(x, _mm256_set1_epi8(0x0F)); }
  static QS_INLINE __m256i HighNibbles(Raw x) {
    return _mm256_and_si256(_mm256_srli_epi32(x, 4), _mm256_set1_epi8(0x0F));
  }
  static QS_INLINE __m256i Low8(Raw upper, Raw lower) {
    return _mm256_or_si256(_mm256_slli_epi32(LowNibbles(upper), 4), LowNibbles(lower));
  }
  static QS_INLINE __m256i High8(Raw upper, Raw lower) {
    return _mm256_or_si256(_mm256_andnot_si256(_mm256_set1_epi8(0x0F), upper), HighNibbles(lower));
  }
  static QS_INLINE Quad LoadQuad(const int8_t* p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, 4);
    return _mm256_set1_epi32(quad);
  }
  static QS_INLINE Quads LoadQuads(const int8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static QS_INLINE void PrefetchL2(const std::byte* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
  }
  static QS_INLINE void Prefetch(const std::byte* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }
};

#if defined(QS_ISA_AVX_VNNI)

struct Words : WordsBase {
  using Codes4 = __m256i;
  using Codes8 = __m256i;
  using Partial4 = __m256i;
  using Partial8 = __m256i;
  static QS_INLINE F Magnitude(F x) { return Abs(x); }
  static QS_INLINE I AddBytes(I sum, I bytes) {
    return _mm256_dpbusd_avx_epi32(sum, _mm256_set1_epi8(1), bytes);
  }
  static QS_INLINE Codes4 Low4(Raw upper) { return LowNibbles(upper); }
  static QS_INLINE Codes4 High4(Raw upper) { return HighNibbles(upper); }
  static QS_INLINE Partial4 ZeroPartial4() { return _mm256_setzero_si256(); }
  static QS_INLINE Partial8 ZeroPartial8() { return _mm256_setzero_si256(); }
  static QS_INLINE Partial4 Dot4(Partial4 sum, Codes4 codes, Quad q) {
    return _mm256_dpbusd_avx_epi32(sum, codes, q);
  }
  static QS_INLINE Partial8 Dot8(Partial8 sum, Codes8 codes, Quad q) {
    return _mm256_dpbusd_avx_epi32(sum, codes, q);
  }
  static QS_INLINE Codes8 CenterCodes(Codes8 codes) { return codes; }
  static QS_INLINE Partial8 DotWeights8(Partial8 sum, Codes8 codes, Quad weights) {
    return Dot8(sum, codes, weights);
  }
  static QS_INLINE I Total4(Partial4 sum) { return sum; }
  static QS_INLINE I Total8(Partial8 sum) { return sum; }
};

#else

// maddubs adds two products in 16 bits and saturates. Nibbles are safe for eight quads
// (15 * 127 * 2 * 8 < 32768), or sixteen whose neighbours add up to 128 at most (Magnitude). Whole
// bytes are safe for one of those (255 * 128 < 32768) or, less 128, for one quad that is never
// negative (127 * 128 * 2). So bytes cost three instructions a quad, two planes of nibbles four.
struct Words : WordsBase {
  using Codes4 = __m256i;
  using Codes8 = __m256i;
  using Partial4 = __m256i;
  using Partial8 = __m256i;
  static QS_INLINE F Magnitude(F x) {
    return Max(Abs(x), Abs(_mm256_add_ps(x, _mm256_permute_ps(x, 0xB1))));
  }
  static QS_INLINE I AddBytes(I sum, I bytes) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static QS_INLINE Codes4 Low4(Raw upper) { return LowNibbles(upper); }
  static QS_INLINE Codes4 High4(Raw upper) { return HighNibbles(upper); }
  static QS_INLINE Partial4 ZeroPartial4() { return _mm256_setzero_si256(); }
  static QS_INLINE Partial8 ZeroPartial8() { return _mm256_setzero_si256(); }
  // The empty asm keeps GCC from turning the chain into a tree, whose leaves it would spill: half
  // the speed.
  static QS_INLINE Partial4 Dot4(Partial4 sum, Codes4 codes, Quad q) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, q));
    __asm__("" : "+x"(sum));
    return sum;
  }
  static QS_INLINE Partial8 AddPairs(Partial8 sum, __m256i pairs) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    __asm__("" : "+x"(sum));
    return sum;
  }
  static QS_INLINE Partial8 Dot8(Partial8 sum, Codes8 codes, Quad q) {
    return AddPairs(sum, _mm256_maddubs_epi16(codes, q));
  }
  static QS_INLINE Codes8 CenterCodes(Codes8 codes) {
    return _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
  }
  static QS_INLINE Partial8 DotWeights8(Partial8 sum, Codes8 codes, Quad weights) {
    return AddPairs(sum, _mm256_maddubs_epi16(weights, codes));
  }
  static QS_INLINE I Total4(Partial4 sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }
  static QS_INLINE I Total8(Partial8 sum) { return sum; }
};

#endif

}  // namespace quantspec::cpu::QS_ISA
