// Row operations over the words of one instruction set. The order of every sum depends on the
// number of columns alone.

namespace quantspec::cpu::QS_ISA {

inline void RmsNorm(const float* x, const float* weight, float epsilon, int64_t count, float* out) {
  constexpr int64_t kStep = Words::kLanes;
  F sum0 = Words::Zero();
  F sum1 = Words::Zero();
  int64_t i = 0;
  for (; i + 2 * kStep <= count; i += 2 * kStep) {
    const F a = Words::Load(x + i);
    const F b = Words::Load(x + i + kStep);
    sum0 = Words::Fma(a, a, sum0);
    sum1 = Words::Fma(b, b, sum1);
  }
  for (; i < count; i += kStep) {
    const F a = i + kStep <= count ? Words::Load(x + i)
                                   : Words::LoadPart(x + i, static_cast<int>(count - i));
    sum0 = Words::Fma(a, a, sum0);
  }
  const float mean = Words::Sum(Words::Add(sum0, sum1)) / static_cast<float>(count);
  const F factor = Words::Set(1.0f / __builtin_sqrtf(mean + epsilon));
  for (i = 0; i + kStep <= count; i += kStep) {
    Words::Store(out + i,
                 Words::Mul(Words::Mul(Words::Load(x + i), factor), Words::Load(weight + i)));
  }
  if (i < count) {
    const int n = static_cast<int>(count - i);
    Words::StorePart(
        out + i,
        Words::Mul(Words::Mul(Words::LoadPart(x + i, n), factor), Words::LoadPart(weight + i, n)),
        n);
  }
}

// Plain loops: the compiler's vectors are good enough for what is under 1 % of a step.
inline void Rope(float* x, const float* QS_RESTRICT table, int heads, int head_dim, int rotated,
                 RopeLayout layout) {
  const int pairs = rotated / 2;
  for (int head = 0; head < heads; ++head, x += head_dim) {
    if (layout == RopeLayout::kPairs) {
      for (int i = 0; i < pairs; ++i) {
        const float a = x[2 * i];
        const float b = x[2 * i + 1];
        x[2 * i] = a * table[2 * i] - b * table[2 * i + 1];
        x[2 * i + 1] = a * table[2 * i + 1] + b * table[2 * i];
      }
    } else {
      for (int i = 0; i < pairs; ++i) {
        const float a = x[i];
        const float b = x[i + pairs];
        x[i] = a * table[2 * i] - b * table[2 * i + 1];
        x[i + pairs] = a * table[2 * i + 1] + b * table[2 * i];
      }
    }
  }
}

// out = op(a, b), a word at a time.
template <typename Op>
QS_INLINE void MapWords(const Op& op, const float* a, const float* b, int64_t count, float* out) {
  constexpr int64_t kStep = Words::kLanes;
  int64_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    Words::Store(out + i, op(Words::Load(a + i), Words::Load(b + i)));
  }
  if (i < count) {
    const int n = static_cast<int>(count - i);
    Words::StorePart(out + i, op(Words::LoadPart(a + i, n), Words::LoadPart(b + i, n)), n);
  }
}

// silu(g) = g / (1 + e^-g).
struct SiluGateOp {
  QS_INLINE F operator()(F gate, F up) const {
    const F e = Exp(Words::Sub(Words::Zero(), gate));
    return Words::Mul(Words::Div(gate, Words::Add(Words::Set(1.0f), e)), up);
  }
};

// (1 + tanh(u)) / 2 = 1 / (1 + e^-2u) with u = sqrt(2 / pi) (g + 0.044715 g^3).
struct GeluGateOp {
  QS_INLINE F operator()(F gate, F up) const {
    const F slope =
        Words::Fma(Words::Mul(gate, gate), Words::Set(-0.0713548163f), Words::Set(-1.59576912f));
    const F e = Exp(Words::Mul(gate, slope));
    return Words::Mul(Words::Div(gate, Words::Add(Words::Set(1.0f), e)), up);
  }
};

struct ScaleOp {
  float factor;
  QS_INLINE F operator()(F x, F) const { return Words::Mul(x, Words::Set(factor)); }
};

struct AddScaledOp {
  float factor;
  QS_INLINE F operator()(F x, F sum) const { return Words::Fma(x, Words::Set(factor), sum); }
};

// tanh(y) = 2 / (1 + e^-2y) - 1.
struct SoftCapOp {
  float cap;
  QS_INLINE F operator()(F x, F) const {
    const F e = Exp(Words::Mul(x, Words::Set(-2.0f / cap)));
    const F twice = Words::Div(Words::Set(2.0f * cap), Words::Add(Words::Set(1.0f), e));
    return Words::Sub(twice, Words::Set(cap));
  }
};

inline void SiluGate(const float* gate, const float* up, int64_t count, float* out) {
  MapWords(SiluGateOp(), gate, up, count, out);
}
inline void GeluGate(const float* gate, const float* up, int64_t count, float* out) {
  MapWords(GeluGateOp(), gate, up, count, out);
}
inline void Scale(float* x, float factor, int64_t count) {
  MapWords(ScaleOp{factor}, x, x, count, x);
}
inline void AddScaled(const float* x, float factor, int64_t count, float* sum) {
  MapWords(AddScaledOp{factor}, x, sum, count, sum);
}
inline void SoftCap(float* x, float cap, int64_t count) {
  MapWords(SoftCapOp{cap}, x, x, count, x);
}

inline void PackMaxima(const float* x, int64_t count, float* out) {
  constexpr float kLowest = -__builtin_inff();
  for (; count >= kPackRows; count -= kPackRows, x += kPackRows) {
    F largest = Words::Set(kLowest);
    // Max gives its second argument if either is NaN.
    for (int64_t i = 0; i < kPackRows; i += Words::kLanes) {
      largest = Words::Max(Words::Load(x + i), largest);
    }
    *out++ = Words::MaxOf(largest);
  }
  if (count == 0) return;
  *out = kLowest;
  for (int64_t i = 0; i < count; ++i) *out = x[i] > *out ? x[i] : *out;
}

inline constexpr RowsKernels kRowsKernels{RmsNorm,    Rope,  SiluGate,  GeluGate,
                                          PackMaxima, Scale, AddScaled, SoftCap};

}  // namespace quantspec::cpu::QS_ISA
