#include "kernels/cpu/pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/cpu/matmul_kernels.h"

namespace quantspec::cpu {
namespace {

struct Logical {
  std::vector<uint8_t> upper, lower;
  std::vector<GroupScale> scales;
  HqRows rows;
  Logical(int64_t outputs, int64_t inputs, int group)
      : upper(static_cast<size_t>(outputs * inputs)),
        lower(upper.size()),
        scales(upper.size() / static_cast<size_t>(group)) {
    for (size_t i = 0; i < upper.size(); ++i) {
      upper[i] = RandomBits(1, 1, i) & 15;
      lower[i] = RandomBits(1, 2, i) & 15;
    }
    for (size_t i = 0; i < scales.size(); ++i) {
      scales[i] = {static_cast<F16>(RandomBits(1, 3, i)), static_cast<F16>(RandomBits(1, 4, i))};
    }
    rows = {outputs, inputs, group, upper, lower, scales};
  }
};

uint8_t ByteAt(const std::byte* data, int64_t index) { return static_cast<uint8_t>(data[index]); }

class PackGroups : public testing::TestWithParam<int> {};

TEST_P(PackGroups, EveryCodeAndScaleIsWhereTheLayoutSays) {
  const int group = GetParam();
  const int64_t outputs = 21, inputs = 256;
  const Logical logical(outputs, inputs, group);
  PackedWeight weight{{WeightFormat::kHq8, outputs, inputs, group}, nullptr, nullptr};
  const WeightBytes bytes = PackedBytes(weight.spec);
  const Buffer upper(bytes.upper), lower(bytes.lower);
  weight.upper = upper.data();
  weight.lower = lower.data();
  PackQuantizedRows(logical.rows, 0, weight);
  for (int64_t o = 0; o < outputs; ++o) {
    const int64_t block = o / kBlock, lane = o % kBlock;
    const std::byte* u = upper.data() + block * UpperBlockBytes(inputs, group);
    const std::byte* l = lower.data() + block * LowerBlockBytes(inputs);
    for (int64_t i = 0; i < inputs; ++i) {
      const int64_t in_group = i % 32, v = in_group / 8, j = in_group % 4;
      const int shift = in_group % 8 >= 4 ? 4 : 0;
      const int64_t at = i / 32 * kCodeBytes + 64 * v + 4 * lane + j;
      const int64_t scales_before = i / group * kScaleBytes;
      const size_t index = static_cast<size_t>(o * inputs + i);
      ASSERT_EQ(ByteAt(u, at + scales_before) >> shift & 15, logical.upper[index]);
      ASSERT_EQ(ByteAt(l, at) >> shift & 15, logical.lower[index]);
    }
    for (int64_t g = 0; g < inputs / group; ++g) {
      const std::byte* scales = u + (g + 1) * (group * 8 + kScaleBytes) - kScaleBytes;
      F16 scale, zero;
      std::memcpy(&scale, scales + 2 * lane, 2);
      std::memcpy(&zero, scales + 2 * (kBlock + lane), 2);
      const GroupScale& expected = logical.scales[static_cast<size_t>(o * inputs / group + g)];
      ASSERT_EQ(scale, expected.scale);
      ASSERT_EQ(zero, expected.zero);
    }
  }
}

TEST_P(PackGroups, PartsPackedApartEqualTheWhole) {
  const int group = GetParam();
  const int64_t outputs = 40, inputs = 128;
  const Logical logical(outputs, inputs, group);
  PackedWeight whole{{WeightFormat::kHq8, outputs, inputs, group}, nullptr, nullptr};
  PackedWeight parts = whole;
  const WeightBytes bytes = PackedBytes(whole.spec);
  const Buffer a(bytes.upper), b(bytes.lower), c(bytes.upper), d(bytes.lower);
  whole.upper = a.data();
  whole.lower = b.data();
  parts.upper = c.data();
  parts.lower = d.data();
  PackQuantizedRows(logical.rows, 0, whole);
  for (int64_t first = 0; first < outputs; first += kPackRows) {
    HqRows rows = logical.rows;
    rows.rows = std::min(kPackRows, outputs - first);
    rows.upper = rows.upper.subspan(static_cast<size_t>(first * inputs));
    rows.lower = rows.lower.subspan(static_cast<size_t>(first * inputs));
    rows.scales = rows.scales.subspan(static_cast<size_t>(first * inputs / group));
    PackQuantizedRows(rows, first, parts);
  }
  EXPECT_EQ(std::memcmp(a.data(), c.data(), bytes.upper), 0);
  EXPECT_EQ(std::memcmp(b.data(), d.data(), bytes.lower), 0);
}

INSTANTIATE_TEST_SUITE_P(Groups, PackGroups, testing::Values(32, 64, 128));

TEST(Pack, OnePlaneHasNoLowerBytes) {
  const WeightBytes bytes = PackedBytes({WeightFormat::kHq4, 17, 64, 32});
  EXPECT_EQ(bytes.upper, 2u * 2 * (256 + 64));
  EXPECT_EQ(bytes.lower, 0u);
}

TEST(Pack, DenseOddInputsArePaddedWithZeros) {
  const int64_t outputs = 3, inputs = 5;
  std::vector<float> values(static_cast<size_t>(outputs * inputs));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) + 0.5f;
  PackedWeight weight{{WeightFormat::kBf16, outputs, inputs, 0}, nullptr, nullptr};
  const WeightBytes bytes = PackedBytes(weight.spec);
  ASSERT_EQ(bytes.upper, 16u * 6 * 2);
  const Buffer memory(bytes.upper);
  weight.upper = memory.data();
  PackDenseRows(ConstRows(values.data(), outputs, inputs), 0, weight);
  const Bf16* packed = memory.As<Bf16>();
  for (int64_t o = 0; o < 16; ++o) {
    for (int64_t i = 0; i < 6; ++i) {
      const float expected =
          o < outputs && i < inputs ? values[static_cast<size_t>(o * inputs + i)] : 0.0f;
      EXPECT_EQ(FloatFromBf16(packed[(i / 2 * 16 + o) * 2 + i % 2]), expected);
    }
  }
}

}  // namespace
}  // namespace quantspec::cpu
