// Row operations of every instruction set against the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "parity/parity.h"

namespace quantspec::testing {
namespace {

class RowsParity : public Parity {
 protected:
  RowsParity() { Reserve({64, 64, 1, 1, 16, {1, 16}, 1}); }

  // Runs `operation(backend, out)` on both and compares.
  template <typename Operation>
  void Check(int64_t rows, int64_t columns, const std::vector<float>& before, Tolerance tolerance,
             const std::string& what, const Operation& operation) {
    GuardedRows actual(rows, columns), expected(rows, columns);
    actual.Fill(before);
    expected.Fill(before);
    operation(*cpu_, actual.view());
    operation(*reference_, expected.view());
    ExpectMatch(actual.Packed(), expected.Packed(), tolerance,
                what + ", columns " + std::to_string(columns));
    EXPECT_TRUE(actual.GuardsSurvive()) << what;
  }
};

constexpr int64_t kMostColumns = 34;  // every count up to two vectors

TEST_P(RowsParity, RmsNorm) {
  Random random(1);
  for (int64_t columns = 1; columns <= 577; columns += columns < kMostColumns ? 1 : 181) {
    for (const int64_t rows : {1, 5}) {
      const std::vector<float> x = random.Normals(rows * columns);
      const std::vector<float> weight = random.Normals(columns);
      const double bound = 8.0 * (Largest(weight) + 1.0) * std::sqrt(double(columns));
      Check(rows, columns, x, {bound * kRoundoff, bound * kRoundoff}, "RmsNorm",
            [&](Backend& backend, Rows out) {
              backend.RmsNorm(View(x, columns), weight.data(), 1e-5f, out);
            });
    }
  }
}

TEST_P(RowsParity, GatedActivation) {
  Random random(2);
  for (int64_t columns = 1; columns <= 577; columns += columns < kMostColumns ? 1 : 181) {
    const std::vector<float> gate = random.Normals(3 * columns, 20.0f);
    const std::vector<float> up = random.Normals(3 * columns);
    const double bound = 16.0 * Largest(gate) * Largest(up) * kRoundoff;
    for (const Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
      Check(3, columns, gate, {bound, bound}, "GatedActivation", [&](Backend& backend, Rows out) {
        backend.GatedActivation(View(gate, columns), View(up, columns), out, activation);
      });
    }
  }
}

TEST_P(RowsParity, ScaleAddScaledAndSoftCap) {
  Random random(3);
  constexpr float kCap = 5.0f;
  for (int64_t columns = 1; columns <= 577; columns += columns < kMostColumns ? 1 : 181) {
    const std::vector<float> x = random.Normals(3 * columns, 4.0f);
    const std::vector<float> sum = random.Normals(3 * columns);
    Check(3, columns, x, {0, 0}, "Scale",
          [&](Backend& backend, Rows out) { backend.Scale(out, 0.7f); });
    const double bound = 4.0 * (Largest(x) + Largest(sum)) * kRoundoff;
    Check(3, columns, sum, {bound, bound}, "AddScaled",
          [&](Backend& backend, Rows out) { backend.AddScaled(View(x, columns), 0.7f, out); });
    Check(3, columns, x, {16 * kCap * kRoundoff, 16 * kCap * kRoundoff}, "SoftCap",
          [&](Backend& backend, Rows out) { backend.SoftCap(out, kCap); });
  }
}

TEST_P(RowsParity, Rotate) {
  Random random(4);
  constexpr int64_t kFirstPosition = 5;
  for (const RopeLayout layout : {RopeLayout::kPairs, RopeLayout::kHalves}) {
    for (const int head_dim : {16, 80, 256}) {
      for (const int rotated : {0, 2, 14, head_dim}) {
        for (const int64_t rows : {1, 3, 70}) {
          std::vector<float> table;
          for (int64_t i = 0; i < (kFirstPosition + rows) * rotated / 2; ++i) {
            const double angle = static_cast<double>(i / std::max(rotated / 2, 1)) *
                                 std::pow(0.9, i % std::max(rotated / 2, 1));
            table.push_back(static_cast<float>(std::cos(angle)));
            table.push_back(static_cast<float>(std::sin(angle)));
          }
          const std::vector<float> x = random.Normals(rows * 3 * head_dim);
          const double bound = 4.0 * Largest(x) * kRoundoff;
          Check(rows, 3 * head_dim, x, {bound, bound}, "Rotate", [&](Backend& backend, Rows out) {
            backend.Rotate(out, 3, {rotated, layout, table.data()}, kFirstPosition);
          });
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, RowsParity, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
