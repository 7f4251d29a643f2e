// Preparing the rows of linear layers, over the words of one instruction set. Layouts:
// matmul_kernels.h.

namespace quantspec::cpu::QS_ISA {

using I = Words::I;

inline constexpr int kVectorsOf32 = 32 / Words::kLanes;
// Most rows of a tile: as many as the accumulators leave registers for.
inline constexpr int kQuantizedRows = Words::kRegisters / 4;
inline constexpr int kDenseRows = Words::kRegisters == 32 ? 8 : Words::kRegisters == 16 ? 6 : 2;

// kPairs: for Dot8, which may want neighbours that are small together (Magnitude).
template <bool kPairs>
QS_INLINE void QuantizeGroup(const float* x, QuantRecord* out) {
  F values[kVectorsOf32];
  F largest = Words::Zero();
  F total = Words::Zero();
  for (int i = 0; i < kVectorsOf32; ++i) {
    values[i] = Words::Load(x + i * Words::kLanes);
    largest = Words::Max(largest, kPairs ? Words::Magnitude(values[i]) : Words::Abs(values[i]));
    total = Words::Add(total, values[i]);
  }
  const float max = Words::MaxOf(largest);
  const float sum = Words::Sum(total);
  // Below 1e-30 the inverse would overflow; such a group counts as zeros but for its sum.
  const float inverse = max > 1e-30f ? 127.0f / max : 0.0f;
  const float scale = max > 1e-30f ? max / 127.0f : 0.0f;
  I codes = Words::ZeroInt();
  for (int i = 0; i < kVectorsOf32; ++i) {
    const I q = Words::ToInt(Words::Mul(values[i], Words::Set(inverse)));
    Words::StoreBytes(out->q + i * Words::kLanes, q);
    codes = Words::AddInt(codes, q);
  }
  const float residual = sum - scale * static_cast<float>(Words::SumInt(codes));
  out->scale = scale;
  out->center4 = 8.0f * residual;
  out->center8 = 128.0f * residual - 8.0f * sum;
  out->sum = sum;
}

// As QuantizeGroup, with the remainder in a second record, so that a coarser first one costs
// little.
QS_INLINE void QuantizeTwice(const float* x, QuantRecord* out) {
  QuantizeGroup<true>(x, out);
  alignas(64) float rest[kQuantGroup];
  const F scale = Words::Set(-out->scale);
  I codes = Words::ZeroInt();
  for (int i = 0; i < kQuantGroup; i += Words::kLanes) {
    const I q = Words::LoadBytes(out->q + i);
    codes = Words::AddInt(codes, q);
    Words::Store(rest + i, Words::Fma(scale, Words::ToFloat(q), Words::Load(x + i)));
  }
  out->sum = out->scale * static_cast<float>(Words::SumInt(codes));
  out->center4 = 0.0f;
  out->center8 = -8.0f * out->sum;
  QuantizeGroup<true>(rest, out + 1);
}

inline void Quantize(ConstRows x, int planes, int64_t first, int64_t last, std::byte* out) {
  const Tiling tiling(x.rows, kQuantizedRows / planes);
  const int64_t groups = x.columns / kQuantGroup;
  QuantRecord* records = reinterpret_cast<QuantRecord*>(out);
  for (int64_t tile = first; tile < last; ++tile) {
    const int64_t begin = tiling.Begin(tile);
    const int64_t height = tiling.Height(tile);
    for (int64_t row = 0; row < height; ++row) {
      const float* source = x.data + (begin + row) * x.stride;
      QuantRecord* target = records + planes * (begin * groups + row);
      for (int64_t g = 0; g < groups; ++g) {
        (planes == 2 ? QuantizeTwice : QuantizeGroup<false>)(source + g * kQuantGroup,
                                                             target + g * planes * height);
      }
    }
  }
}

inline void Interleave(ConstRows x, int64_t first, int64_t last, std::byte* out) {
  const Tiling tiling(x.rows, kDenseRows);
  const int64_t padded = (x.columns + 1) / 2 * 2;
  float* values = reinterpret_cast<float*>(out);
  for (int64_t tile = first; tile < last; ++tile) {
    const int64_t begin = tiling.Begin(tile);
    const int64_t height = tiling.Height(tile);
    const float* source = x.data + begin * x.stride;
    float* target = values + begin * padded;
    for (int64_t i = 0; i < x.columns; ++i) {
      for (int64_t row = 0; row < height; ++row) *target++ = source[row * x.stride + i];
    }
    if (padded != x.columns) {
      for (int64_t row = 0; row < height; ++row) *target++ = 0.0f;
    }
  }
}

}  // namespace quantspec::cpu::QS_ISA
