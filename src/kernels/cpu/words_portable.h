// The words of plain C++ (vectors of 16 bytes, as GCC and clang know them), and the meaning of all
// words: the vocabulary in which every kernel text is written. The other words_*.h define the same
// names for one instruction set each.
//
// F: kLanes floats. I: kLanes int32. Raw: 4 * kLanes bytes as loaded. kLanes divides 16.
// kRegisters: how many vectors the kernels may keep alive.
// kMaxDots, kMaxDots8: how many Dot4s and Dot8s a Partial may sum before Total; kMaxPairDots: Dot4s
// of quads within Magnitude 127. kSumsBytes: a Partial8 is one vector and Dot8 takes any
// quad; else it may want those. kCenters: CenterCodes takes 128 from codes. kFetchRows: rows from
// which on attention gains on every CPU by fetching two planes ahead by instructions.

namespace quantspec::cpu::QS_ISA {

struct Words {
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 8;
  static constexpr bool kSumsBytes = false;
  static constexpr int kMaxDots = 8;
  static constexpr int kMaxDots8 = 8;
  static constexpr int kMaxPairDots = 8;
  static constexpr bool kCenters = false;
  static constexpr int kFetchRows = 1;
  using F = float __attribute__((vector_size(16)));
  using I = int32_t __attribute__((vector_size(16)));
  using Raw = uint8_t __attribute__((vector_size(16)));
  using Unsigned32 = uint32_t __attribute__((vector_size(16)));
  using Signed16 = int16_t __attribute__((vector_size(16)));
  using Unsigned16 = uint16_t __attribute__((vector_size(16)));

#define QS_EACH for (int i = 0; i < kLanes; ++i)

  // ---- float
  static QS_INLINE F Zero() { return F{}; }
  static QS_INLINE F Set(float x) { return F{x, x, x, x}; }
  static QS_INLINE F Broadcast(const float* p) { return Set(*p); }
  static QS_INLINE F Load(const float* p) {
    F r;
    __builtin_memcpy(&r, p, sizeof(r));
    return r;
  }
  static QS_INLINE void Store(float* p, F x) { __builtin_memcpy(p, &x, sizeof(x)); }
  // The first n lanes, 0 <= n < kLanes; the others are 0 and not touched in memory.
  static QS_INLINE F LoadPart(const float* p, int n) {
    F r = Zero();
    for (int i = 0; i < n; ++i) r[i] = p[i];
    return r;
  }
  static QS_INLINE void StorePart(float* p, F x, int n) {
    for (int i = 0; i < n; ++i) p[i] = x[i];
  }
  static QS_INLINE F LoadF16(const uint16_t* p) {
    return F{FloatFromF16(p[0]), FloatFromF16(p[1]), FloatFromF16(p[2]), FloatFromF16(p[3])};
  }
  // Rounds to nearest even; overflow gives infinity: clamp before.
  static QS_INLINE void StoreF16(uint16_t* p, F x) { QS_EACH p[i] = F16FromFloat(x[i]); }
  // Each 32-bit lane of `pairs` holds two bf16: the lower and the upper half, as floats.
  static QS_INLINE F LowBf16(Raw pairs) { return F(Unsigned32(pairs) << 16); }
  static QS_INLINE F HighBf16(Raw pairs) { return F(Unsigned32(pairs) & 0xFFFF0000u); }
  static QS_INLINE F Add(F a, F b) { return a + b; }
  static QS_INLINE F Sub(F a, F b) { return a - b; }
  static QS_INLINE F Mul(F a, F b) { return a * b; }
  static QS_INLINE F Div(F a, F b) { return a / b; }
  // a * b + c, fused or not.
  static QS_INLINE F Fma(F a, F b, F c) { return a * b + c; }
  static QS_INLINE F Max(F a, F b) { return a > b ? a : b; }
  // The larger one, if b is negative: for such, a comparison of the bits as numbers without sign.
  static QS_INLINE F MaxNegative(F a, F b) { return a > b ? a : b; }
  // |x|, or where Dot8 sums the products of neighbours (lanes 0 and 1, 2 and 3, ...) in 16 bits,
  // the larger of that and the |sum| of both. What is scaled to 127 or less of it may be rounded.
  static QS_INLINE F Magnitude(F x) { return Abs(x); }
  static QS_INLINE F Min(F a, F b) { return a < b ? a : b; }
  static QS_INLINE F Abs(F a) { return F(Unsigned32(a) & 0x7FFFFFFFu); }
  // Over all lanes, in a fixed order.
  static QS_INLINE float Sum(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
  static QS_INLINE float MaxOf(F x) {
    float max = x[0];
    QS_EACH max = x[i] > max ? x[i] : max;
    return max;
  }
  // op (Max or Add) over all lanes of each of four vectors, in a fixed order: cheaper than one by
  // one, and sums in another order than Sum's.
  template <F (*op)(F, F)>
  static QS_INLINE void JoinLanes4(float* out, F a, F b, F c, F d) {
    const F all[4] = {a, b, c, d};
    QS_EACH {
      const F x = all[i];
      const F half = op(x, F{x[2], x[3], x[0], x[1]});
      out[i] = op(half, F{half[1], half[0], half[3], half[2]})[0];
    }
  }
  // To the nearest whole number, ties to even; |x| < 2^22.
  static QS_INLINE F Round(F x) { return (x + Set(12582912.0f)) - Set(12582912.0f); }
  // x * 2^n for whole n in [-250, 254]. Two factors, so that results may be subnormal.
  static QS_INLINE F Scale2(F x, F n) {
    const I whole = __builtin_convertvector(n, I);
    const I half = whole >> 1;
    return x * PowerOf2(half) * PowerOf2(whole - half);
  }
  // 1 + m / 2^23 of a number n * 2^23 + m, 0 <= m < 2^23; and the float whose bits are x's plus n.
  static QS_INLINE F MantissaOf(I x) { return F((Unsigned32(x) & 0x007FFFFFu) | 0x3F800000u); }
  static QS_INLINE F AddBits(F x, I n) { return F(Unsigned32(x) + Unsigned32(n)); }
  static QS_INLINE F PowerOf2(I n) { return F(Unsigned32(n + 127) << 23); }

  // ---- integers
  // Rounds to nearest even; |x| < 2^22.
  static QS_INLINE I ToInt(F x) { return __builtin_convertvector(Round(x), I); }
  // To one of the two nearest; |x| < 2^31.
  static QS_INLINE I ToLargeInt(F x) { return __builtin_convertvector(x, I); }
  static QS_INLINE F ToFloat(I x) { return __builtin_convertvector(x, F); }
  // The same bits.
  static QS_INLINE I BitsOf(F x) { return I(x); }
  static QS_INLINE I ZeroInt() { return I{}; }
  static QS_INLINE I SetInt(int x) { return I{x, x, x, x}; }
  static QS_INLINE I LoadInt(const int32_t* p) {
    I r;
    __builtin_memcpy(&r, p, sizeof(r));
    return r;
  }
  static QS_INLINE void StoreInt(void* p, I x) { __builtin_memcpy(p, &x, sizeof(x)); }
  static QS_INLINE I AddInt(I a, I b) { return I(Unsigned32(a) + Unsigned32(b)); }
  static QS_INLINE I ShiftLeft(I a, int bits) { return I(Unsigned32(a) << bits); }
  // Zeros come in.
  static QS_INLINE I ShiftRight(I a, int bits) { return I(Unsigned32(a) >> bits); }
  static QS_INLINE I And(I a, I b) { return a & b; }
  static QS_INLINE int SumInt(I x) { return x[0] + x[1] + x[2] + x[3]; }
  // kLanes values in [-128, 127] as bytes, and back.
  static QS_INLINE void StoreBytes(int8_t* p, I x) { QS_EACH p[i] = static_cast<int8_t>(x[i]); }
  static QS_INLINE I LoadBytes(const int8_t* p) { return I{p[0], p[1], p[2], p[3]}; }
  // Four vectors of such values as bytes; and lanes that together have sum's plus all bytes.
  static QS_INLINE I PackBytes(const I* x) {
    alignas(16) int8_t bytes[4 * kLanes];
    for (int v = 0; v < 4; ++v) StoreBytes(bytes + v * kLanes, x[v]);
    I r;
    __builtin_memcpy(&r, bytes, sizeof(r));
    return r;
  }
  static QS_INLINE I AddBytes(I sum, I bytes) {
    return sum + (bytes << 24 >> 24) + (bytes << 16 >> 24) + (bytes << 8 >> 24) + (bytes >> 24);
  }

  // ---- codes
  // Bytes as 16-bit numbers, those at even and those at odd places. Products of a code of one plane
  // and an int8 then sum in 16 bits (15 * 127 * 2 * 8 < 32768); two planes are two sums.
  struct Bytes {
    Signed16 even, odd;
  };
  struct TwoSums {
    Signed16 upper, lower;
  };
  struct TwoBytes {
    Bytes upper, lower;
  };
  // 4 unsigned codes a lane, of one plane (0..15) or of both (16 U + L).
  using Codes4 = Bytes;
  using Codes8 = TwoBytes;
  // 4 int8, the same in every lane (a word may leave them in memory); and others in each.
  using Quad = Bytes;
  using Quads = Bytes;
  // Sums of at most kMaxDots Dots; more go through Total.
  using Partial4 = Signed16;
  using Partial8 = TwoSums;

  static QS_INLINE Raw LoadRaw(const std::byte* p) {
    Raw r;
    __builtin_memcpy(&r, p, sizeof(r));
    return r;
  }
  // The low and the high nibbles of an upper plane; the same joined with those of a lower plane.
  static QS_INLINE Codes4 Low4(Raw upper) {
    const Unsigned16 x = Unsigned16(upper);
    return {Signed16(x & 15), Signed16(x >> 8 & 15)};
  }
  static QS_INLINE Codes4 High4(Raw upper) {
    const Unsigned16 x = Unsigned16(upper);
    return {Signed16(x >> 4 & 15), Signed16(x >> 12)};
  }
  static QS_INLINE Codes8 Low8(Raw upper, Raw lower) { return {Low4(upper), Low4(lower)}; }
  static QS_INLINE Codes8 High8(Raw upper, Raw lower) { return {High4(upper), High4(lower)}; }
  static QS_INLINE Quad LoadQuad(const int8_t* p) {
    int32_t quad;
    __builtin_memcpy(&quad, p, 4);
    return SignedBytes(SetInt(quad));
  }
  static QS_INLINE Quads LoadQuads(const int8_t* p) {
    I r;
    __builtin_memcpy(&r, p, sizeof(r));
    return SignedBytes(r);
  }
  static QS_INLINE Quad SignedBytes(I x) {
    return {Signed16(Unsigned16(x) << 8) >> 8, Signed16(x) >> 8};
  }
  static QS_INLINE Partial4 ZeroPartial4() { return Signed16{}; }
  static QS_INLINE Partial8 ZeroPartial8() { return {ZeroPartial4(), ZeroPartial4()}; }
  // sum + the dot product of each lane's 4 codes and 4 int8, which must lie in [-127, 127].
  static QS_INLINE Partial4 Dot4(Partial4 sum, Codes4 codes, Quad q) {
    return sum + codes.even * q.even + codes.odd * q.odd;
  }
  static QS_INLINE Partial8 Dot8(Partial8 sum, Codes8 codes, Quad q) {
    return {Dot4(sum.upper, codes.upper, q), Dot4(sum.lower, codes.lower, q)};
  }
  // Codes as DotWeights8 wants them, which is Dot8 for a quad that is never negative.
  static QS_INLINE Codes8 CenterCodes(Codes8 codes) { return codes; }
  static QS_INLINE Partial8 DotWeights8(Partial8 sum, Codes8 codes, Quad weights) {
    return Dot8(sum, codes, weights);
  }
  static QS_INLINE I Total4(Partial4 sum) {
    return (I(Unsigned32(sum) << 16) >> 16) + (I(sum) >> 16);
  }
  static QS_INLINE I Total8(Partial8 sum) { return Total4(sum.upper) * 16 + Total4(sum.lower); }

  static QS_INLINE void PrefetchL2(const std::byte*) {}
  static QS_INLINE void Prefetch(const std::byte*) {}

#undef QS_EACH
};

}  // namespace quantspec::cpu::QS_ISA
