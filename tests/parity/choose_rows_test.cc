// The choice of the tokens that weigh most, against a plain sort.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "parity/kv.h"

namespace quantspec::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

float Known(float x) { return std::isnan(x) ? -kInf : x; }

// One query head's masses, pooled.
std::vector<float> Pooled(const std::vector<float>& masses, RowPooling pooling) {
  std::vector<float> out;
  const auto columns = static_cast<int64_t>(masses.size());
  for (int64_t t = 0; t < columns; ++t) {
    const auto at = [&](int64_t i, float beyond) {
      return i < 0 || i >= columns ? beyond : Known(masses[static_cast<size_t>(i)]);
    };
    if (pooling == RowPooling::kNone) {
      out.push_back(at(t, 0));
    } else if (pooling == RowPooling::kMean5) {
      float sum = 0.0f;
      for (int64_t i = t - 2; i <= t + 2; ++i) sum += at(i, 0.0f);
      out.push_back(sum / 5.0f);
    } else {
      float most = -kInf;
      for (int64_t i = t - 3; i <= t + 3; ++i) most = std::max(most, at(i, -kInf));
      out.push_back(most);
    }
  }
  return out;
}

std::vector<int32_t> Sorted(const std::vector<float>& masses, int64_t columns, int kv_heads,
                            RowPooling pooling, int64_t count) {
  std::vector<int32_t> chosen;
  const auto q_heads = static_cast<int64_t>(masses.size()) / columns;
  for (int64_t head = 0; head < kv_heads; ++head) {
    std::vector<float> sum(static_cast<size_t>(columns), 0.0f);
    for (int64_t q = 0; q < q_heads / kv_heads; ++q) {
      const auto first = masses.begin() + (head * (q_heads / kv_heads) + q) * columns;
      const std::vector<float> pooled = Pooled({first, first + columns}, pooling);
      for (size_t t = 0; t < sum.size(); ++t) sum[t] += pooled[t];
    }
    std::vector<int32_t> order(static_cast<size_t>(columns));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return Known(sum[static_cast<size_t>(a)]) > Known(sum[static_cast<size_t>(b)]);
    });
    order.resize(static_cast<size_t>(count));
    std::sort(order.begin(), order.end());
    chosen.insert(chosen.end(), order.begin(), order.end());
  }
  return chosen;
}

class ChooseRows : public Parity {
 protected:
  void Check(const std::vector<float>& masses, int64_t columns, int kv_heads, int64_t count) {
    const int64_t gap = 3, q_heads = static_cast<int64_t>(masses.size()) / columns;
    GuardedRows rows(q_heads, columns);
    rows.Fill(masses);
    for (const RowPooling pooling : {RowPooling::kNone, RowPooling::kMean5, RowPooling::kMax7}) {
      const std::vector<int32_t> expected = Sorted(masses, columns, kv_heads, pooling, count);
      for (Backend* backend : {cpu_.get(), reference_.get()}) {
        std::vector<int32_t> chosen(static_cast<size_t>(kv_heads * count + gap), -7);
        backend->ChooseRows(rows.view(), kv_heads, pooling, count, chosen.data());
        EXPECT_EQ(std::count(chosen.end() - gap, chosen.end(), -7), gap);
        chosen.resize(chosen.size() - gap);
        EXPECT_EQ(chosen, expected) << backend->isa() << ", pooling " << static_cast<int>(pooling)
                                    << ", " << count << " of " << columns;
      }
    }
  }
};

TEST_P(ChooseRows, TakesTheHeaviestLikeASort) {
  Random random(11);
  for (const int kv_heads : {1, 3}) {
    for (const int gqa : {1, 3, 7}) {
      for (const int64_t columns : {1, 2, 3, 6, 7, 8, 40, 1000}) {
        Reserve(AttendLimits({kv_heads, 16}, kv_heads * gqa, 1, columns));
        std::vector<float> spread = random.Normals(kv_heads * gqa * columns);
        std::vector<float> equal = spread;
        for (float& x : spread) x = std::exp2(8.0f * x);
        for (float& x : equal) x = std::floor(2.0f * x) * 0.25f;  // many are, -0 among them
        for (int64_t count = 0; count <= columns; count += columns < 10 ? 1 : 1 + columns / 7) {
          Check(spread, columns, kv_heads, count);
          Check(equal, columns, kv_heads, count);
        }
      }
    }
  }
}

TEST_P(ChooseRows, TakesTheFirstOfEqualOnes) {
  Reserve(AttendLimits({1, 16}, 1, 1, 16));
  Check(std::vector<float>(16, 0.5f), 16, 1, 5);
  Check({0.0f, -0.0f, 0.0f, -0.0f, 1.0f, -0.0f}, 6, 1, 3);
}

TEST_P(ChooseRows, NaNAndInfinityAreInOrder) {
  Random random(12);
  Reserve(AttendLimits({2, 16}, 6, 1, 60));
  std::vector<float> masses = random.Normals(6 * 60);
  const float odd[] = {NAN, -NAN, kInf, -kInf};
  for (size_t i = 0; i < masses.size(); i += 5) masses[i] = odd[i / 5 % 4];
  for (int64_t count = 0; count <= 60; ++count) Check(masses, 60, 2, count);
  const std::vector<float> none(6 * 60, NAN);
  Check(none, 60, 2, 7);
}

INSTANTIATE_TEST_SUITE_P(Isas, ChooseRows, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
