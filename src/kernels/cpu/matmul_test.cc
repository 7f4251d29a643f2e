// Linear layers of every instruction set against plain sums in double, and against themselves with
// other numbers of rows and threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/backend.h"

namespace quantspec {
namespace {

constexpr float kSentinel = -12345.0f;

struct Case {
  WeightFormat format;
  Planes planes;
  int group;
};

std::string NameOf(const Case& c) {
  if (c.format == WeightFormat::kF32) return "f32";
  if (c.format == WeightFormat::kBf16) return "bf16";
  return std::string(c.format == WeightFormat::kHq4 ? "hq4" : "hq8") +
         (c.planes == Planes::kUpper ? "_upper_g" : "_both_g") + std::to_string(c.group);
}

float Noise(uint64_t stream, uint64_t index) {
  return static_cast<float>(2 * RandomUniform(7, stream, index) - 1);
}

// A matrix in logical and in packed form. Group 3 of every row (if there is one) is constant.
struct Matrix {
  WeightSpec spec;
  std::vector<float> values;  // dense formats, as the format stores them
  std::vector<uint8_t> upper, lower;
  std::vector<GroupScale> scales;
  Buffer memory;
  PackedWeight packed;

  Matrix(const Backend& backend, WeightSpec s, uint64_t seed) : spec(s) {
    const size_t count = static_cast<size_t>(spec.outputs * spec.inputs);
    std::vector<float> source(count);
    for (size_t i = 0; i < count; ++i) source[i] = Noise(seed, i) * 0.3f + 0.02f;
    const WeightBytes bytes = backend.SizeOf(spec);
    memory = Buffer(bytes.upper + bytes.lower);
    packed = {spec, memory.data(), bytes.lower > 0 ? memory.data() + bytes.upper : nullptr};
    const ConstRows rows(source.data(), spec.outputs, spec.inputs);
    if (spec.format == WeightFormat::kF32 || spec.format == WeightFormat::kBf16) {
      values = source;
      if (spec.format == WeightFormat::kBf16) {
        for (float& v : values) v = FloatFromBf16(Bf16FromFloat(v));
      }
      backend.PackDense(rows, 0, packed);
      return;
    }
    for (int64_t o = 0; o < spec.outputs; ++o) {
      for (int64_t i = 3 * spec.group; i < std::min<int64_t>(4 * spec.group, spec.inputs); ++i) {
        source[static_cast<size_t>(o * spec.inputs + i)] = 0.25f;
      }
    }
    upper.resize(count);
    lower.resize(count);
    scales.resize(count / static_cast<size_t>(spec.group));
    EncodeRows(rows, spec.group, upper.data(), lower.data(), scales.data());
    HqRows logical{spec.outputs, spec.inputs, spec.group, upper, lower, scales};
    if (spec.format == WeightFormat::kHq4) logical.lower = {};
    backend.PackQuantized(logical, 0, packed);
  }

  bool quantized() const { return values.empty(); }
  GroupScale ScaleAt(int64_t o, int64_t i) const {
    return scales[static_cast<size_t>((o * spec.inputs + i) / spec.group)];
  }
  double ValueAt(int64_t o, int64_t i, Planes planes) const {
    const size_t at = static_cast<size_t>(o * spec.inputs + i);
    return quantized() ? DecodeValue(ScaleAt(o, i), upper[at], lower[at], planes) : values[at];
  }
};

std::vector<float> RandomRows(int64_t rows, int64_t inputs) {
  std::vector<float> x(static_cast<size_t>(rows * inputs));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = Noise(99, i) * (1.0f + 20.0f * static_cast<float>(RandomBits(7, 98, i) % 37 == 0));
  }
  return x;
}

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

std::unique_ptr<Backend> MakeBackend(ThreadPool& pool, std::string_view isa, int64_t rows,
                                     int64_t inputs) {
  std::unique_ptr<Backend> backend = MakeCpuBackend(pool, isa);
  ScratchLimits limits;
  limits.rows = rows;
  limits.inputs = inputs;
  limits.positions = 128;
  limits.geometry = {1, 64};
  limits.q_heads = 1;
  limits.fine_rows = rows;
  backend->Reserve(limits);
  return backend;
}

std::vector<float> Multiply(Backend& backend, const Matrix& m, Planes planes, const float* x,
                            int64_t rows, InputPlanes input_planes = InputPlanes::kOne) {
  std::vector<float> y(static_cast<size_t>(rows * m.spec.outputs), kSentinel);
  Product product;
  product.weight = &m.packed;
  product.planes = planes;
  product.y = Rows(y.data(), rows, m.spec.outputs);
  backend.MatMul(ConstRows(x, rows, m.spec.inputs), {&product, 1}, input_planes);
  return y;
}

class MatMul : public testing::TestWithParam<std::tuple<std::string_view, Case>> {
 protected:
  std::string_view isa() const { return std::get<0>(GetParam()); }
  const Case& c() const { return std::get<1>(GetParam()); }
};

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
  for (const InputPlanes input_planes : {InputPlanes::kOne, InputPlanes::kTwo}) {
    std::vector<float> expected;
    for (int64_t row = 0; row < most; ++row) {
      const std::vector<float> y =
          Multiply(*alone, m, c().planes, x.data() + row * inputs, 1, input_planes);
      expected.insert(expected.end(), y.begin(), y.end());
    }
    for (const int64_t rows : counts) {
      for (Backend* backend : {alone.get(), pair.get()}) {
        const std::vector<float> y =
            Multiply(*backend, m, c().planes, x.data(), rows, input_planes);
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
  const std::vector<float> y = Multiply(*backend, m, c().planes, x.data(), rows, InputPlanes::kTwo);
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
  const std::vector<float> plain = Multiply(*backend, m, c().planes, x.data(), rows);
  std::vector<float> bias(static_cast<size_t>(outputs));
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = Noise(5, i);
  std::vector<float> y(static_cast<size_t>(rows * stride), kSentinel);
  Product product;
  product.weight = &m.packed;
  product.planes = c().planes;
  product.bias = bias.data();
  product.y = Rows(y.data(), rows, outputs, stride);
  product.accumulate = Accumulate::kYes;
  backend->MatMul(ConstRows(x.data(), rows, inputs), {&product, 1});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t o = 0; o < stride; ++o) {
      const float got = y[static_cast<size_t>(row * stride + o)];
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

constexpr Case kCases[] = {
    {WeightFormat::kF32, Planes::kBoth, 0},    {WeightFormat::kBf16, Planes::kBoth, 0},
    {WeightFormat::kHq4, Planes::kUpper, 32},  {WeightFormat::kHq4, Planes::kUpper, 64},
    {WeightFormat::kHq4, Planes::kUpper, 128}, {WeightFormat::kHq8, Planes::kBoth, 32},
    {WeightFormat::kHq8, Planes::kBoth, 64},   {WeightFormat::kHq8, Planes::kBoth, 128},
    {WeightFormat::kHq8, Planes::kUpper, 32},
};

INSTANTIATE_TEST_SUITE_P(All, MatMul,
                         testing::Combine(testing::ValuesIn(AvailableIsas().begin(),
                                                            AvailableIsas().end()),
                                          testing::ValuesIn(kCases)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_" +
                                  NameOf(std::get<1>(test.param));
                         });

class MatMulCalls : public testing::TestWithParam<std::string_view> {};

TEST_P(MatMulCalls, ProductsOfOneCallEqualThoseOfSeveral) {
  ThreadPool pool(2);
  const int64_t inputs = 256, rows = 4;
  const std::unique_ptr<Backend> backend = MakeBackend(pool, GetParam(), rows, inputs);
  const Matrix a(*backend, {WeightFormat::kHq4, 33, inputs, 32}, 1);
  const Matrix b(*backend, {WeightFormat::kBf16, 90, inputs, 0}, 2);
  const Matrix c(*backend, {WeightFormat::kHq8, 16, inputs, 64}, 3);
  const std::vector<float> x = RandomRows(rows, inputs);
  const Matrix* matrices[] = {&a, &b, &c};
  std::vector<std::vector<float>> joint;
  std::vector<Product> products;
  for (const Matrix* m : matrices) {
    joint.emplace_back(static_cast<size_t>(rows * m->spec.outputs));
    Product product;
    product.weight = &m->packed;
    product.y = Rows(joint.back().data(), rows, m->spec.outputs);
    products.push_back(product);
  }
  backend->MatMul(ConstRows(x.data(), rows, inputs), products);
  for (size_t i = 0; i < joint.size(); ++i) {
    EXPECT_EQ(joint[i], Multiply(*backend, *matrices[i], Planes::kBoth, x.data(), rows));
  }
}

TEST_P(MatMulCalls, UpperPlaneOfTwoEqualsOnePlane) {
  ThreadPool pool(1);
  const int64_t inputs = 256;
  const std::unique_ptr<Backend> backend = MakeBackend(pool, GetParam(), 2, inputs);
  const Matrix one(*backend, {WeightFormat::kHq4, 48, inputs, 64}, 1);
  const Matrix two(*backend, {WeightFormat::kHq8, 48, inputs, 64}, 1);
  const std::vector<float> x = RandomRows(2, inputs);
  EXPECT_EQ(Multiply(*backend, one, Planes::kUpper, x.data(), 2),
            Multiply(*backend, two, Planes::kUpper, x.data(), 2));
}

TEST_P(MatMulCalls, ManyRowsInSeveralChunksEqualSingleRows) {
  ThreadPool pool(2);
  const int64_t inputs = 1024, rows = 300, outputs = 20;
  const std::unique_ptr<Backend> backend = MakeBackend(pool, GetParam(), rows, inputs);
  const std::vector<float> x = RandomRows(rows, inputs);
  for (const WeightFormat format : {WeightFormat::kHq4, WeightFormat::kBf16}) {
    const Matrix m(*backend, {format, outputs, inputs, format == WeightFormat::kHq4 ? 32 : 0}, 1);
    const std::vector<float> all = Multiply(*backend, m, Planes::kBoth, x.data(), rows);
    for (int64_t row = 0; row < rows; row += 7) {
      const std::vector<float> y = Multiply(*backend, m, Planes::kBoth, x.data() + row * inputs, 1);
      ASSERT_EQ(std::memcmp(y.data(), all.data() + row * outputs, y.size() * sizeof(float)), 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MatMulCalls,
                         testing::ValuesIn(AvailableIsas().begin(), AvailableIsas().end()),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace quantspec
