// Calls of several products and many rows, and products of halves: every instruction set against
// itself and against sums of rounded numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/cpu/matmul_matrix.h"

namespace quantspec {
namespace {

class MatMulHalves : public EachMatMulCase {};

// The float sum of products of weights and inputs rounded to bf16. A weight may be rounded from
// either side of where it is halfway: `largest` allows for one that is.
TEST_P(MatMulHalves, AreSumsOfRoundedNumbers) {
  ThreadPool pool(2);
  const int64_t outputs = 40, rows = 19;
  std::vector<int64_t> sizes = {128, 1152, 2176};  // one pass and several
  if (c().group == 0) sizes.insert(sizes.end(), {1, 31, 1030});
  for (const int64_t inputs : sizes) {
    const std::unique_ptr<Backend> backend = MakeBackend(pool, isa(), rows, inputs);
    const Matrix m(*backend, {c().format, outputs, inputs, c().group}, 1);
    const std::vector<float> x = RandomRows(rows, inputs);
    const std::vector<float> y =
        Multiply(*backend, m, c().planes, x.data(), rows, Activations::kBf16);
    if (isa() != "amx" || c().format == WeightFormat::kF32) {
      ASSERT_EQ(y, Multiply(*backend, m, c().planes, x.data(), rows)) << "no tiles";
      continue;
    }
    for (int64_t i = 0; i < rows * outputs; ++i) {
      double sum = 0, magnitude = 0, largest = 0;
      for (int64_t k = 0; k < inputs; ++k) {
        const auto w = static_cast<float>(m.ValueAt(i % outputs, k, c().planes));
        const double term =
            double{FloatFromBf16(Bf16FromFloat(w))} *
            FloatFromBf16(Bf16FromFloat(x[static_cast<size_t>(i / outputs * inputs + k)]));
        sum += term;
        magnitude += std::fabs(term);
        largest = std::max(largest, std::fabs(term));
      }
      const double tolerance = (static_cast<double>(inputs) + 2) * 0x1p-24 * magnitude;
      ASSERT_NEAR(y[static_cast<size_t>(i)], sum, tolerance + 0x1p-8 * largest)
          << inputs << " inputs, " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MatMulHalves, AllMatMulCases(), NameOfParam);

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

// Several ranges of one weight in one call, out of order, the last pack of it not full.
TEST_P(MatMulCalls, SomeOutputsHaveTheBitsOfAllAndOthersStay) {
  ThreadPool pool(2);
  const int64_t inputs = 256, rows = 3, outputs = 16 * 9 + 5;
  const std::unique_ptr<Backend> backend = MakeBackend(pool, GetParam(), rows, inputs);
  const std::vector<float> x = RandomRows(rows, inputs);
  for (const MatMulCase& c : kMatMulCases) {
    const Matrix m(*backend, {c.format, outputs, inputs, c.group}, 1);
    const std::vector<float> all = Multiply(*backend, m, c.planes, x.data(), rows);
    std::vector<float> some(all.size(), kSentinel);
    Product product;
    product.weight = &m.packed;
    product.planes = c.planes;
    product.y = Rows(some.data(), rows, outputs);
    std::vector<Product> products(3, product);
    const int64_t ranges[][2] = {{144, 5}, {16, 16}, {64, 48}};  // first output, outputs
    for (size_t i = 0; i < 3; ++i) {
      products[i].first_output = ranges[i][0];
      products[i].outputs = ranges[i][1];
    }
    backend->MatMul(ConstRows(x.data(), rows, inputs), products);
    for (size_t i = 0; i < some.size(); ++i) {
      const int64_t output = static_cast<int64_t>(i) % outputs;
      const bool is_asked = std::ranges::any_of(ranges, [&](const int64_t(&range)[2]) {
        return output >= range[0] && output < range[0] + range[1];
      });
      ASSERT_EQ(some[i], is_asked ? all[i] : kSentinel) << NameOf(c) << ", output " << output;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MatMulCalls,
                         testing::ValuesIn(AvailableIsas().begin(), AvailableIsas().end()),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace quantspec
