// Row operations of every instruction set against the reference.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "parity/parity.h"

namespace quantspec::testing {
namespace {

class RowsParity : public Parity {
 protected:
  RowsParity() { Reserve({64, 64, 16, {1, 16}, 1}); }

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
    Check(3, columns, gate, {bound, bound}, "GatedActivation", [&](Backend& backend, Rows out) {
      backend.GatedActivation(View(gate, columns), View(up, columns), out);
    });
  }
}

TEST_P(RowsParity, EmbeddingsAreEqual) {
  Random random(4);
  const std::vector<float> table = random.Normals(11 * 37);
  const std::vector<int32_t> tokens = {10, 0, 3, 3};
  const EmbeddingTable embedding{GgmlType::kF32, reinterpret_cast<const std::byte*>(table.data()),
                                 11, 37};
  Check(4, 37, std::vector<float>(4 * 37), {0.0, 0.0}, "Embed",
        [&](Backend& backend, Rows out) { backend.Embed(embedding, tokens, out); });
}

INSTANTIATE_TEST_SUITE_P(Isas, RowsParity, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
