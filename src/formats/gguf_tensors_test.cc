#include "formats/gguf_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/tiny_gguf.h"
#include "quant/ggml_blocks.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

TEST(GgufNames, AreOursAndBack) {
  for (const auto& [theirs, ours] : std::vector<std::pair<std::string, std::string>>{
           {"token_embd.weight", "embedding"},
           {"output_norm.weight", "final_norm"},
           {"output.weight", "head"},
           {"blk.0.attn_norm.weight", "layers.0.attn_norm"},
           {"blk.12.attn_q.weight", "layers.12.attn.q"},
           {"blk.12.attn_q.bias", "layers.12.attn.q.bias"},
           {"blk.3.attn_k_norm.weight", "layers.3.attn.k_norm"},
           {"blk.3.attn_output.weight", "layers.3.attn.o"},
           {"blk.999.ffn_down.weight", "layers.999.ffn.down"}}) {
    EXPECT_EQ(NameOfGguf(theirs), ours);
    EXPECT_EQ(GgufNameOf(ours), theirs);
  }
  EXPECT_EQ(NameOfGguf("rope_freqs.weight"), "");
  EXPECT_EQ(NameOfGguf("blk.0.attn_rot_embd.weight"), "");
  for (const char* name :
       {"", "embedding", "layers.0.attn.q", "blk.attn_q.weight", "blk.0.weight", "blk.0.attn_q",
        "blk.x.attn_q.weight", "blk.0.attn_gate.weight", "blk.0.ffn_gate_exps.weight",
        "blk..attn_q.weight", "output", ".weight"}) {
    EXPECT_EQ(NameOfGguf(name), std::nullopt) << name;
  }
}

// Blocks of random bits under scales that are numbers.
std::string RandomBlocks(GgmlType type, int64_t values) {
  const GgmlTypeInfo& info = *FindGgmlType(static_cast<uint32_t>(type));
  std::string blocks;
  for (int64_t block = 0; block < values / info.block_values; ++block) {
    for (int64_t i = 0; i < info.block_bytes; ++i) {
      const auto bits = static_cast<uint8_t>(RandomBits(
          static_cast<uint64_t>(type), static_cast<uint64_t>(block), static_cast<uint64_t>(i)));
      // The upper byte of every 16-bit float at the front keeps its exponent small.
      const bool is_scale = i < 4 && i % 2 == 1;
      blocks += static_cast<char>(is_scale ? bits & 0x3F : bits);
    }
  }
  return blocks;
}

class BlockReaderTest : public testing::Test {
 protected:
  SourceTensor Make(GgmlType type, uint64_t rows, uint64_t columns, const std::string& data) {
    GgufTestFile file;
    file.Tensor("blk.0.ffn_up.weight", {columns, rows}, static_cast<uint32_t>(type), data);
    path_ = folder_.Write("one.gguf", file.Finish());
    file_ = OpenGguf(path_, GgmlTypeSize);
    return MakeGgufTensor(file_, file_.gguf.tensors()[0]);
  }

  const TestFolder folder_{"tensors"};
  std::string path_;
  GgufFile file_;
};

TEST_F(BlockReaderTest, DecodesAndImportsAsAWholeWhatItReadsInPieces) {
  constexpr int64_t kRows = 9, kColumns = 15104;  // rows end inside pieces, and pieces inside rows
  for (const GgmlType type :
       {GgmlType::kF16, GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ8_0, GgmlType::kQ4_K}) {
    const std::string data = RandomBlocks(type, kRows * kColumns);
    const auto* blocks = reinterpret_cast<const std::byte*>(data.data());
    ASSERT_TRUE(AllFinite(type, blocks, kRows * kColumns));
    const SourceTensor tensor = Make(type, kRows, kColumns, data);
    std::vector<float> expected(kRows * kColumns), found(2 * kColumns);
    DecodeGgml(type, blocks, kRows * kColumns, expected.data());
    tensor.reader->Decode(7, Rows(found.data(), 2, kColumns));
    EXPECT_EQ(found, std::vector<float>(expected.begin() + 7 * kColumns, expected.end()));
    const SourceCodes codes = tensor.reader->codes();
    EXPECT_EQ(codes.bits, type == GgmlType::kF16 ? 0 : type == GgmlType::kQ8_0 ? 8 : 4);
    if (codes.bits == 0) continue;
    std::vector<uint8_t> upper(kRows * kColumns), lower(kRows * kColumns);
    std::vector<GroupScale> scales(upper.size() / 32);
    tensor.reader->Import(0, kRows, upper.data(), lower.data(), scales.data());
    float worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const float value = DecodeValue(scales[i / 32], upper[i], lower[i],
                                      codes.bits == 8 ? Planes::kBoth : Planes::kUpper);
      worst = std::max(worst, std::abs(value - expected[i]));
    }
    // Exact but for scales that are products (Q4_K) and a zero that is rounded (Q8_0).
    const bool is_exact = type == GgmlType::kQ4_0 || type == GgmlType::kQ4_1;
    EXPECT_LE(worst, is_exact ? 0.0f : 2.0f) << tensor.stored_as;
  }
}

TEST_F(BlockReaderTest, ValuesThatAreNotFiniteAreNamed) {
  std::string data(4 * 32 * 2, '\0');
  const float infinite = INFINITY;
  data.replace(4 * 40, 4, GgufTestFile::Bytes(infinite));
  const SourceTensor tensor = Make(GgmlType::kF32, 2, 32, data);
  std::vector<float> row(32);
  tensor.reader->Decode(0, Rows(row.data(), 1, 32));
  try {
    tensor.reader->Decode(1, Rows(row.data(), 1, 32));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(error.what(), HasSubstr("one.gguf: tensor blk.0.ffn_up.weight holds a value"));
  }
}

TEST_F(BlockReaderTest, AFileCutAfterItWasOpenedIsNamed) {
  const SourceTensor tensor = Make(GgmlType::kF32, 2, 32, std::string(256, '\0'));
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 100);
  std::vector<float> rows(64);
  try {
    tensor.reader->Decode(0, Rows(rows.data(), 2, 32));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_THAT(error.what(), testing::StartsWith(path_));
  }
}

TEST_F(BlockReaderTest, UnknownTensorsAreRefused) {
  GgufTestFile file;
  file.Tensor("blk.0.ffn_gate_exps.weight", {32}, 0, std::string(128, '\0'));
  const GgufFile opened = OpenGguf(folder_.Write("x.gguf", file.Finish()), GgmlTypeSize);
  EXPECT_THROW(MakeGgufTensor(opened, opened.gguf.tensors()[0]), Error);
}

}  // namespace
}  // namespace quantspec
