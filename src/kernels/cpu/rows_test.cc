// Operations on rows of every instruction set against plain formulas in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/backend.h"
#include "kernels/cpu/isa.h"

namespace quantspec {
namespace {

std::vector<float> Random(size_t count, uint64_t stream, float size = 1.0f) {
  std::vector<float> x(count);
  for (size_t i = 0; i < count; ++i) {
    x[i] = size * static_cast<float>(2 * RandomUniform(3, stream, i) - 1);
  }
  return x;
}

class RowOperations : public testing::TestWithParam<std::string_view> {};

TEST_P(RowOperations, RmsNormEqualsItsFormula) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = MakeCpuBackend(pool, GetParam());
  for (int64_t n = 1; n <= 100; n += n < 40 ? 1 : 13) {
    const std::vector<float> x = Random(static_cast<size_t>(n), 1, 3.0f);
    const std::vector<float> w = Random(static_cast<size_t>(n), 2);
    std::vector<float> out(static_cast<size_t>(n) + 1, 77.0f);
    backend->RmsNorm(ConstRows(x.data(), 1, n), w.data(), 1e-5f, Rows(out.data(), 1, n));
    double squares = 0;
    for (const float v : x) squares += double{v} * v;
    const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (size_t i = 0; i < x.size(); ++i) {
      // n additions under a root, three multiplications.
      const double tolerance = std::fabs(x[i] * factor * w[i]) * 0x1p-24 * (double(n) / 2 + 6);
      ASSERT_NEAR(out[i], x[i] * factor * w[i], tolerance) << n;
    }
    ASSERT_EQ(out.back(), 77.0f);
  }
}

TEST_P(RowOperations, RmsNormOfZerosIsZeroAndWorksInPlace) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = MakeCpuBackend(pool, GetParam());
  std::vector<float> x(40, 0.0f);
  const std::vector<float> w(40, 1.0f);
  backend->RmsNorm(ConstRows(x.data(), 1, 40), w.data(), 1e-5f, Rows(x.data(), 1, 40));
  EXPECT_EQ(x, std::vector<float>(40, 0.0f));
}

TEST_P(RowOperations, RopeRotatesPairsAndHalves) {
  for (const int head_dim : {16, 64, 80, 96}) {
    for (const int rotated : {head_dim, head_dim / 2}) {
      for (const RopeLayout layout : {RopeLayout::kPairs, RopeLayout::kHalves}) {
        const int heads = 3;
        const std::vector<float> table = Random(static_cast<size_t>(4 * rotated), 5);
        const std::vector<float> x = Random(static_cast<size_t>(2 * heads * head_dim), 6);
        std::vector<float> y = x;
        const int32_t positions[] = {3, 1};
        for (int row = 0; row < 2; ++row) {
          cpu::FindTable(GetParam())
              .rows.rope(y.data() + row * heads * head_dim, table.data() + positions[row] * rotated,
                         heads, head_dim, rotated, layout);
          for (int head = 0; head < heads; ++head) {
            const size_t at = static_cast<size_t>((row * heads + head) * head_dim);
            for (int c = rotated; c < head_dim; ++c) ASSERT_EQ(y[at + c], x[at + c]);
            for (int i = 0; i < rotated / 2; ++i) {
              const bool pairs = layout == RopeLayout::kPairs;
              const size_t a = at + static_cast<size_t>(pairs ? 2 * i : i);
              const size_t b = at + static_cast<size_t>(pairs ? 2 * i + 1 : i + rotated / 2);
              const float* angle = table.data() + positions[row] * rotated + 2 * i;
              ASSERT_NEAR(y[a], double{x[a]} * angle[0] - double{x[b]} * angle[1], 3e-7);
              ASSERT_NEAR(y[b], double{x[a]} * angle[1] + double{x[b]} * angle[0], 3e-7);
            }
          }
        }
      }
    }
  }
}

TEST_P(RowOperations, GateEqualsItsFormulaEverywhere) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = MakeCpuBackend(pool, GetParam());
  std::vector<float> gate, up;
  for (int i = -4000; i <= 4000; ++i) {
    gate.push_back(static_cast<float>(i) * 0.05f);
    up.push_back(i % 2 == 0 ? 1.0f : -3.0f);
  }
  const int64_t n = static_cast<int64_t>(gate.size());
  std::vector<float> out(gate.size());
  backend->GatedActivation(ConstRows(gate.data(), 1, n), ConstRows(up.data(), 1, n),
                           Rows(out.data(), 1, n));
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = double{gate[i]} / (1 + std::exp(-double{gate[i]})) * up[i];
    // e^-g within 2 units, three more operations; below 1e-36 subnormals.
    ASSERT_NEAR(out[i], expected, std::fabs(expected) * 6 * 0x1p-23 + 1e-36) << gate[i];
  }
}

TEST_P(RowOperations, GeluGateEqualsItsFormulaEverywhere) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = MakeCpuBackend(pool, GetParam());
  std::vector<float> gate, up;
  for (int i = -4000; i <= 4000; ++i) {
    gate.push_back(static_cast<float>(i) * 0.01f);
    up.push_back(i % 2 == 0 ? 1.0f : -3.0f);
  }
  const int64_t n = static_cast<int64_t>(gate.size());
  std::vector<float> out(gate.size());
  backend->GatedActivation(ConstRows(gate.data(), 1, n), ConstRows(up.data(), 1, n),
                           Rows(out.data(), 1, n), Activation::kGeluTanh);
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    const double exponent = -2 * std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g);
    const double expected = g / (1 + std::exp(exponent)) * up[i];
    // The exponent is off by 3 roundings of itself, and e^ of it by as much and 2 units.
    const double tolerance =
        std::fabs(expected) * (3 * std::min(std::fabs(exponent), 90.0) + 8) * 0x1p-23 + 1e-35;
    ASSERT_NEAR(out[i], expected, tolerance) << g;
  }
}

TEST_P(RowOperations, SoftCapEqualsItsFormulaEverywhere) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = MakeCpuBackend(pool, GetParam());
  const float cap = 30.0f;
  std::vector<float> x;
  for (int i = -4003; i <= 4003; ++i) x.push_back(static_cast<float>(i) * 0.1f);
  x.push_back(1e30f);
  x.push_back(-1e30f);
  std::vector<float> out = x;
  backend->SoftCap(Rows(out.data(), 1, static_cast<int64_t>(out.size())), cap);
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(out[i], cap * std::tanh(double{x[i]} / cap), cap * 8 * 0x1p-23) << x[i];
    ASSERT_LE(std::fabs(out[i]), cap);
  }
}

TEST_P(RowOperations, ScaleAndAddScaledEqualTheirFormulas) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = MakeCpuBackend(pool, GetParam());
  for (int64_t n = 1; n <= 40; ++n) {
    const std::vector<float> x = Random(static_cast<size_t>(n), 11);
    std::vector<float> sum = Random(static_cast<size_t>(n) + 1, 12), scaled = x;
    const std::vector<float> before = sum;
    backend->Scale(Rows(scaled.data(), 1, n), 0.3f);
    backend->AddScaled(ConstRows(x.data(), 1, n), 0.3f, Rows(sum.data(), 1, n));
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(scaled[i], x[i] * 0.3f);
      ASSERT_NEAR(sum[i], before[i] + double{x[i]} * 0.3f, 4 * 0x1p-24);
    }
    ASSERT_EQ(sum.back(), before.back());
  }
}

TEST_P(RowOperations, RowsDoNotDependOnOtherRowsOrThreads) {
  ThreadPool one(1), two(2);
  const std::unique_ptr<Backend> alone = MakeCpuBackend(one, GetParam());
  const std::unique_ptr<Backend> pair = MakeCpuBackend(two, GetParam());
  const int64_t rows = 40, columns = 1001;
  const std::vector<float> x = Random(static_cast<size_t>(rows * columns), 8, 4.0f);
  const std::vector<float> w = Random(static_cast<size_t>(columns), 9);
  std::vector<float> norms(x.size()), gates(x.size()), one_row(static_cast<size_t>(columns));
  const ConstRows all(x.data(), rows, columns);
  pair->RmsNorm(all, w.data(), 1e-6f, Rows(norms.data(), rows, columns));
  pair->GatedActivation(all, all, Rows(gates.data(), rows, columns));
  std::vector<float> capped = x;
  pair->SoftCap(Rows(capped.data(), rows, columns), 2.0f);
  const size_t bytes = static_cast<size_t>(columns) * sizeof(float);
  for (int64_t row = 0; row < rows; ++row) {
    const ConstRows single = all.Rows(row, 1);
    alone->RmsNorm(single, w.data(), 1e-6f, Rows(one_row.data(), 1, columns));
    ASSERT_EQ(std::memcmp(one_row.data(), norms.data() + row * columns, bytes), 0);
    alone->GatedActivation(single, single, Rows(one_row.data(), 1, columns));
    ASSERT_EQ(std::memcmp(one_row.data(), gates.data() + row * columns, bytes), 0);
    std::copy_n(single.data, columns, one_row.begin());
    alone->SoftCap(Rows(one_row.data(), 1, columns), 2.0f);
    ASSERT_EQ(std::memcmp(one_row.data(), capped.data() + row * columns, bytes), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowOperations,
                         testing::ValuesIn(AvailableIsas().begin(), AvailableIsas().end()),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace quantspec
