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

// silu(g) = g / (1 + e^-g).
QS_INLINE F GateWord(F gate, F up) {
  const F one = Words::Set(1.0f);
  const F e = Exp(Words::Sub(Words::Zero(), gate));
  return Words::Mul(Words::Div(gate, Words::Add(one, e)), up);
}

inline void Gate(const float* gate, const float* up, int64_t count, float* out) {
  constexpr int64_t kStep = Words::kLanes;
  int64_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    Words::Store(out + i, GateWord(Words::Load(gate + i), Words::Load(up + i)));
  }
  if (i < count) {
    const int n = static_cast<int>(count - i);
    Words::StorePart(out + i, GateWord(Words::LoadPart(gate + i, n), Words::LoadPart(up + i, n)),
                     n);
  }
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

inline constexpr RowsKernels kRowsKernels{RmsNorm, Rope, Gate, PackMaxima};

}  // namespace quantspec::cpu::QS_ISA
