#include "io/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "io/gguf_test_file.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

bool TestTypeSize(uint32_t, int64_t* values, int64_t* bytes) {
  *values = 1;
  *bytes = 4;
  return true;
}

TEST(GgufFile, AHeaderLongerThanTheFirstReadIsReadWhole) {
  const auto path = std::filesystem::path(testing::TempDir()) / "long_header.gguf";
  constexpr size_t kTexts = 300000;
  std::string texts;
  for (size_t i = 0; i < kTexts; ++i) texts += GgufTestFile::Text("a text of many bytes");
  GgufTestFile written;
  written.Array("texts", 8, kTexts, texts).Tensor("t", {2}, 0, "abcdefgh");
  std::ofstream(path, std::ios::binary) << written.Finish();
  const GgufFile file = OpenGguf(path, TestTypeSize);
  EXPECT_GT(file.header->size(), size_t{4} << 20);
  EXPECT_EQ(file.gguf.Array("texts")->strings.back(), "a text of many bytes");
  const GgufTensor& tensor = *file.gguf.FindTensor("t");
  std::vector<std::byte> data(8);
  file.file->Read(tensor.offset, data);
  EXPECT_EQ(data[7], std::byte{'h'});
  std::filesystem::remove(path);
}

TEST(GgufFile, TheBeginningGivesTheFileOrAsksForMore) {
  GgufTestFile written;
  written.Entry("k", 8, GgufTestFile::Text("text")).Array("a", 4, 3, std::string(12, '\1'));
  const std::string bytes = written.Tensor("t", {2}, 0, "abcdefgh").Finish();
  const auto all = std::as_bytes(std::span(bytes));
  const size_t data = Gguf::Parse(all, "file", TestTypeSize).FindTensor("t")->offset;
  for (size_t size = 0; size <= bytes.size(); ++size) {
    const auto file = Gguf::ParseStart(all.first(size), bytes.size(), "file", TestTypeSize);
    ASSERT_EQ(file.has_value(), size >= data) << size;
    if (file) {
      EXPECT_EQ(file->FindTensor("t")->offset, data);
    }
  }
}

}  // namespace
}  // namespace quantspec
