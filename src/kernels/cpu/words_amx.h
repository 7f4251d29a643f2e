// What AMX adds to the words of AVX-512 with BF16: products of tiles of 16 rows of 64 bytes.
// Included inside a target region of its own, after the other kernel texts. In assembly, because
// GCC's intrinsics take no tile number from a template.

namespace quantspec::cpu::QS_ISA {

struct TileWords {
  static constexpr int kRows = 16;
  static constexpr int kPairs = 16;  // of bf16 in a row
  static constexpr int kTile = kRows * kPairs;

  // The first n lanes, zeros in the others; n may be beyond either end.
  static QS_INLINE F First(F x, int n) {
    return _mm512_maskz_mov_ps(Words::Mask(n < 0 ? 0 : n > Words::kLanes ? Words::kLanes : n), x);
  }
  static QS_INLINE bool AreOnes(const float* p) {
    return _mm512_cmp_ps_mask(Words::Load(p), Words::Set(1.0f), _CMP_NEQ_UQ) == 0;
  }

  // Registers 0 to 7. Rows are `stride` bytes apart.
  template <int T>
  static QS_INLINE void Zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  template <int T>
  static QS_INLINE void Load(const void* p, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  static QS_INLINE void Store(void* p, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(T) : "memory");
  }
  // C [16 rows][16 columns] floats += A [16 rows][16 pairs] * B [16 pairs][16 columns], where the
  // lower of each pair is summed apart from the upper, in order, and both are then added to C.
  template <int C, int A, int B>
  static QS_INLINE void Dot() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
};

// Tiles may be used while one of these lives: of 16 rows of 64 bytes, but registers 0 to 5
// (products and their left operands) of `rows` rows.
class TileScope {
 public:
  explicit TileScope(int64_t rows = TileWords::kRows) {
    alignas(64) uint8_t config[64] = {};
    config[0] = 1;  // palette
    for (int t = 0; t < 8; ++t) {
      config[16 + 2 * t] = 64;  // bytes of a row
      config[48 + t] = static_cast<uint8_t>(t < 6 ? rows : TileWords::kRows);
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  ~TileScope() { __asm__ volatile("tilerelease"); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

}  // namespace quantspec::cpu::QS_ISA
