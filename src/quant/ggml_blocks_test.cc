// Against values decoded by the `gguf` Python package: tests/golden/make_ggml_blocks.py.
#include "quant/ggml_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>
#include <vector>

namespace quantspec {
namespace {

struct Record {
  GgmlType type;
  std::vector<std::byte> blocks;
  std::vector<float> values;
};

std::vector<Record> ReadGolden() {
  std::ifstream file(QS_GOLDEN_DIR "/ggml_blocks.bin", std::ios::binary);
  std::vector<Record> records;
  uint32_t header[3];
  while (file.read(reinterpret_cast<char*>(header), sizeof(header))) {
    Record record{static_cast<GgmlType>(header[0]), {}, {}};
    record.values.resize(header[1]);
    record.blocks.resize(header[2]);
    file.read(reinterpret_cast<char*>(record.blocks.data()), header[2]);
    file.read(reinterpret_cast<char*>(record.values.data()), header[1] * 4);
    records.push_back(std::move(record));
  }
  return records;
}

TEST(GgmlBlocks, DecodeBitForBitAsTheGgufPackage) {
  const std::vector<Record> records = ReadGolden();
  std::set<GgmlType> types;
  for (const Record& record : records) {
    types.insert(record.type);
    std::vector<float> values(record.values.size(), NAN);
    DecodeGgml(record.type, record.blocks.data(), static_cast<int64_t>(values.size()),
               values.data());
    const auto name = FindGgmlType(static_cast<uint32_t>(record.type))->name;
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(record.values[i]))
          << name << " value " << i << ": " << values[i] << " and " << record.values[i];
    }
    EXPECT_TRUE(AllFinite(record.type, record.blocks.data(), static_cast<int64_t>(values.size())))
        << name;
  }
  EXPECT_EQ(types.size(), 16u);
}

TEST(GgmlBlocks, AffineImportsDecodeToTheSameValues) {
  for (const Record& record : ReadGolden()) {
    const GgmlTypeInfo& info = *FindGgmlType(static_cast<uint32_t>(record.type));
    if (!info.is_affine4) continue;
    const auto count = static_cast<int64_t>(record.values.size());
    std::vector<uint8_t> upper(record.values.size());
    std::vector<GroupScale> scales(record.values.size() / 32);
    ImportAffine4(record.type, record.blocks.data(), count, upper.data(), scales.data());
    for (size_t i = 0; i < upper.size(); ++i) {
      ASSERT_LE(upper[i], 15);
      const float value = DecodeValue(scales[i / 32], upper[i], 0, Planes::kUpper);
      // Q4_K's products of scales are rounded to f16, the other two are exact.
      const float bound = record.type == GgmlType::kQ4_K
                              ? std::abs(FloatFromF16(scales[i / 32].scale)) * 16 * 0x1p-11f +
                                    std::abs(FloatFromF16(scales[i / 32].zero)) * 0x1p-10f
                              : 0.0f;
      ASSERT_NEAR(value, record.values[i], bound) << info.name << " value " << i;
    }
  }
}

TEST(GgmlBlocks, ImportsOfQ8_0LoseOnlyTheRoundingOfTheZero) {
  for (const Record& record : ReadGolden()) {
    if (record.type != GgmlType::kQ8_0) continue;
    std::vector<uint8_t> upper(record.values.size()), lower(upper.size());
    std::vector<GroupScale> scales(upper.size() / 32);
    ImportQ8_0(record.blocks.data(), static_cast<int64_t>(upper.size()), upper.data(), lower.data(),
               scales.data());
    for (size_t i = 0; i < upper.size(); ++i) {
      ASSERT_LE(std::max(upper[i], lower[i]), 15);
      const float value = DecodeValue(scales[i / 32], upper[i], lower[i], Planes::kBoth);
      const float step = std::abs(FloatFromF16(scales[i / 32].scale)) / 16;
      ASSERT_NEAR(value, record.values[i], step / 16) << "value " << i;
    }
  }
}

TEST(GgmlBlocks, NotFiniteValuesAndScalesAreFound) {
  const float bad[] = {1.0f, std::numeric_limits<float>::infinity(), 2.0f};
  EXPECT_FALSE(AllFinite(GgmlType::kF32, reinterpret_cast<const std::byte*>(bad), 3));
  EXPECT_TRUE(AllFinite(GgmlType::kF32, reinterpret_cast<const std::byte*>(bad), 1));
  for (Record& record : ReadGolden()) {
    const GgmlTypeInfo& info = *FindGgmlType(static_cast<uint32_t>(record.type));
    // Bits that are NaN or infinity wherever a scale may stand.
    std::fill(record.blocks.end() - info.block_bytes, record.blocks.end(), std::byte{0xFF});
    EXPECT_FALSE(
        AllFinite(record.type, record.blocks.data(), static_cast<int64_t>(record.values.size())))
        << info.name;
  }
}

TEST(GgmlBlocks, AcceptedBlocksDecodeToFiniteValues) {
  for (Record& record : ReadGolden()) {
    const GgmlTypeInfo& info = *FindGgmlType(static_cast<uint32_t>(record.type));
    std::vector<float> values(static_cast<size_t>(info.block_values));
    // Every value of every byte of a block, one after the other.
    for (int64_t at = 0; at < info.block_bytes; ++at) {
      const std::byte before = record.blocks[static_cast<size_t>(at)];
      for (int byte = 0; byte < 256; ++byte) {
        record.blocks[static_cast<size_t>(at)] = static_cast<std::byte>(byte);
        DecodeGgml(record.type, record.blocks.data(), info.block_values, values.data());
        const bool is_finite = std::all_of(values.begin(), values.end(),
                                           [](float value) { return std::isfinite(value); });
        ASSERT_LE(AllFinite(record.type, record.blocks.data(), info.block_values), is_finite)
            << info.name << " byte " << at << " = " << byte;
      }
      record.blocks[static_cast<size_t>(at)] = before;
    }
  }
}

TEST(GgmlBlocks, UnknownTypesHaveNoSize) {
  int64_t values = 0, bytes = 0;
  for (const uint32_t type : {4u, 5u, 9u, 15u, 16u, 40u, 1000u, ~0u}) {
    EXPECT_FALSE(GgmlTypeSize(type, &values, &bytes)) << type;
  }
}

}  // namespace
}  // namespace quantspec
