// Linear layers of every instruction set against plain sums in double, and against themselves with
// other numbers of rows and threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/cpu/matmul_matrix.h"

namespace quantspec {
namespace {

// What a quantised layer should give for one output: the product with x rounded to 8 bits a group
// of 32, where only deviations from the middle of the code range meet the rounded x. `tolerance`
// bounds the rounding of the float arithmetic: some 2 groups + 40 operations, each within half a
// unit of terms not larger than (|Z| + 16 S) |x|.
struct Expected {
  double value = 0;
  double tolerance = 0;
  double rounding = 0;  // what rounding x may cost at most, against the exact product
  double exact = 0;
  double half_value = 0;  // with x rounded to bf16, as bf16 weights may see it

  bool Matches(double got) const {
    return std::fabs(got - value) <= tolerance || std::fabs(got - half_value) <= tolerance;
  }
};

Expected ExpectQuantized(const Matrix& m, const float* x, int64_t o, Planes planes) {
  Expected e;
  double magnitude = 0;
  for (int64_t first = 0; first < m.spec.inputs; first += 32) {
    float max = 0;
    for (int64_t i = first; i < first + 32; ++i) max = std::max(max, std::fabs(x[i]));
    const float inverse = max > 1e-30f ? 127.0f / max : 0.0f;
    const float scale = max > 1e-30f ? max / 127.0f : 0.0f;
    const GroupScale group = m.ScaleAt(o, first);
    const double s = FloatFromF16(group.scale), z = FloatFromF16(group.zero);
    const double middle = planes == Planes::kUpper ? z + 8 * s : z + 7.5 * s;
    for (int64_t i = first; i < first + 32; ++i) {
      const double rounded = scale * std::nearbyint(x[i] * inverse);
      const double w = m.ValueAt(o, i, planes);
      e.value += (w - middle) * rounded + middle * x[i];
      e.exact += w * x[i];
      e.rounding += std::fabs(w - middle) * scale * 0.5001 + (scale == 0 ? 1e-28 : 0);
      magnitude += (std::fabs(z) + 16 * s) * std::fabs(x[i]);
    }
  }
  e.tolerance = (2.0 * static_cast<double>(m.spec.inputs) / 32 + 40) * 0x1p-24 * magnitude;
  e.half_value = e.value;
  return e;
}

// Sums in float of n terms, even and odd ones apart.
Expected ExpectDense(const Matrix& m, const float* x, int64_t o) {
  Expected e;
  double magnitude = 0;
  for (int64_t i = 0; i < m.spec.inputs; ++i) {
    const double w = m.ValueAt(o, i, Planes::kBoth);
    const double term = w * x[i];
    e.value += term;
    e.half_value +=
        m.spec.format == WeightFormat::kBf16 ? w * FloatFromBf16(Bf16FromFloat(x[i])) : term;
    if (m.spec.format == WeightFormat::kBf16) e.rounding += std::fabs(term) * 0x1p-8;
    magnitude += std::fabs(term);
  }
  e.exact = e.value;
  e.tolerance = (static_cast<double>(m.spec.inputs) + 2) * 0x1p-24 * magnitude;
  return e;
}

Expected Expect(const Matrix& m, const float* x, int64_t o, Planes planes) {
  return m.quantized() ? ExpectQuantized(m, x, o, planes) : ExpectDense(m, x, o);
}

class MatMul : public EachMatMulCase {};

TEST_P(MatMul, EqualsPlainSumsUpToFloatRounding) {
  ThreadPool pool(2);
  const struct {
    int64_t outputs, inputs;
  } sizes[] = {{1, 128}, {5, 256}, {16, 384}, {17, 128}, {40, 640}, {100, 2048}};
  for (const auto& size : sizes) {
    const std::unique_ptr<Backend> backend = MakeBackend(pool, isa(), 5, size.inputs);
    const Matrix m(*backend, {c().format, size.outputs, size.inputs, c().group}, 1);
    const std::vector<float> x = RandomRows(5, size.inputs);
    const std::vector<float> y = Multiply(*backend, m, c().planes, x.data(), 5);
    for (int64_t row = 0; row < 5; ++row) {
      for (int64_t o = 0; o < size.outputs; ++o) {
        const Expected e = Expect(m, x.data() + row * size.inputs, o, c().planes);
        const double got = y[static_cast<size_t>(row * size.outputs + o)];
        ASSERT_TRUE(e.Matches(got)) << row << " " << o << " of " << size.outputs << ": " << got
                                    << ", expected " << e.value << " or " << e.half_value;
        ASSERT_NEAR(got, e.exact, e.rounding + e.tolerance);
      }
    }
  }
}

// The tolerance above must be tight enough to see one code off by one.
TEST_P(MatMul, ToleranceSeesOneWrongWeight) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = MakeBackend(pool, isa(), 1, 256);
  Matrix m(*backend, {c().format, 16, 256, c().group}, 1);
  std::vector<float> x = RandomRows(1, 256);
  x[9] = 1.0f;
  const std::vector<float> y = Multiply(*backend, m, c().planes, x.data(), 1);
  if (!m.quantized()) {
    m.values[9] *= 1.01f;
  } else if (c().planes == Planes::kUpper) {
    m.upper[9] ^= 1;
  } else {
    m.lower[9] ^= 1;
  }
  const Expected e = Expect(m, x.data(), 0, c().planes);
  EXPECT_FALSE(e.Matches(y[0]));
}

TEST_P(MatMul, ARowsBitsDoNotDependOnOtherRowsOrThreads) {
  const int64_t inputs = 384, outputs = 70, most = 33;
  ThreadPool one(1), two(2);
  const std::unique_ptr<Backend> alone = MakeBackend(one, isa(), most, inputs);
  const std::unique_ptr<Backend> pair = MakeBackend(two, isa(), most, inputs);
  const Matrix m(*alone, {c().format, outputs, inputs, c().group}, 2);
  const std::vector<float> x = RandomRows(most, inputs);
  std::vector<int64_t> counts;
  for (int64_t rows = 1; rows <= 17; ++rows) counts.push_back(rows);
  counts.push_back(most);
  for (const Activations activations :
       {Activations::kInt8, Activations::kInt16, Activations::kBf16}) {
    std::vector<float> expected;
    for (int64_t row = 0; row < most; ++row) {
      const std::vector<float> y =
          Multiply(*alone, m, c().planes, x.data() + row * inputs, 1, activations);
      expected.insert(expected.end(), y.begin(), y.end());
    }
    for (const int64_t rows : counts) {
      for (Backend* backend : {alone.get(), pair.get()}) {
        const std::vector<float> y = Multiply(*backend, m, c().planes, x.data(), rows, activations);
        ASSERT_EQ(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)), 0) << rows;
      }
    }
  }
}

// The second plane leaves 1/254 of the first one's rounding; the bound on it is a sum of
// magnitudes.
TEST_P(MatMul, TwoPlanesOfInputsLoseAHundredTimesLess) {
  ThreadPool pool(2);
  const int64_t inputs = 640, outputs = 40, rows = 5;
  const std::unique_ptr<Backend> backend = MakeBackend(pool, isa(), rows, inputs);
  const Matrix m(*backend, {c().format, outputs, inputs, c().group}, 1);
  const std::vector<float> x = RandomRows(rows, inputs);
  const std::vector<float> y =
      Multiply(*backend, m, c().planes, x.data(), rows, Activations::kInt16);
  for (int64_t i = 0; i < rows * outputs; ++i) {
    const Expected e = Expect(m, x.data() + i / outputs * inputs, i % outputs, c().planes);
    const double rounding = m.quantized() ? e.rounding / 100 : e.rounding;
    ASSERT_NEAR(y[static_cast<size_t>(i)], e.exact, rounding + e.tolerance) << i;
  }
}

TEST_P(MatMul, BiasAndResidualAreAddedAndNothingElseIsTouched) {
  ThreadPool pool(2);
  const int64_t inputs = 128, outputs = 37, rows = 3, stride = 50;
  const std::unique_ptr<Backend> backend = MakeBackend(pool, isa(), rows, inputs);
  const Matrix m(*backend, {c().format, outputs, inputs, c().group}, 3);
  const std::vector<float> x = RandomRows(rows, inputs);
  std::vector<float> bias(static_cast<size_t>(outputs));
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = Noise(5, i);
  for (const Activations kind : {Activations::kInt8, Activations::kBf16}) {
    const std::vector<float> plain = Multiply(*backend, m, c().planes, x.data(), rows, kind);
    std::vector<float> y(static_cast<size_t>(rows * stride), kSentinel);
    Product product;
    product.weight = &m.packed;
    product.planes = c().planes;
    product.bias = bias.data();
    product.y = Rows(y.data(), rows, outputs, stride);
    product.accumulate = Accumulate::kYes;
    backend->MatMul(ConstRows(x.data(), rows, inputs), {&product, 1}, kind);
    for (int64_t i = 0; i < rows * stride; ++i) {
      const int64_t row = i / stride, o = i % stride;
      const float got = y[static_cast<size_t>(i)];
      if (o >= outputs) {
        ASSERT_EQ(got, kSentinel);
        continue;
      }
      const float sum =
          plain[static_cast<size_t>(row * outputs + o)] + bias[static_cast<size_t>(o)];
      ASSERT_EQ(got, sum + kSentinel);
    }
  }
}

TEST_P(MatMul, ZerosTinyAndLargeRowsStayFinite) {
  ThreadPool pool(1);
  const int64_t inputs = 256, outputs = 16;
  const std::unique_ptr<Backend> backend = MakeBackend(pool, isa(), 1, inputs);
  const Matrix m(*backend, {c().format, outputs, inputs, c().group}, 4);
  for (const float size : {0.0f, 1e-42f, 1e-30f, 1e30f}) {
    std::vector<float> x = RandomRows(1, inputs);
    for (float& v : x) v *= size;
    for (const float y : Multiply(*backend, m, c().planes, x.data(), 1)) {
      ASSERT_TRUE(std::isfinite(y)) << size;
      ASSERT_TRUE(size != 0.0f || y == 0.0f);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MatMul, AllMatMulCases(), NameOfParam);

}  // namespace
}  // namespace quantspec
