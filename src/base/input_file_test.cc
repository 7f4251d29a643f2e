#include "base/input_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "quantspec/error.h"

namespace quantspec {
namespace {

class InputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::path(testing::TempDir()) /
            (std::string("input_file_") +
             testing::UnitTest::GetInstance()->current_test_info()->name());
    std::ofstream(path_, std::ios::binary) << std::string(5000, 'a') + "end";
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::filesystem::path path_;
};

TEST_F(InputFileTest, ReadsAnywhere) {
  const InputFile file(path_);
  EXPECT_EQ(file.size(), 5003u);
  std::vector<std::byte> bytes(4);
  file.Read(4999, bytes);
  EXPECT_EQ(bytes, (std::vector<std::byte>{std::byte{'a'}, std::byte{'e'}, std::byte{'n'},
                                           std::byte{'d'}}));
  file.Read(5003, {});
}

TEST_F(InputFileTest, AFileCutWhileItIsReadIsAnErrorThatNamesIt) {
  const InputFile file(path_);
  std::filesystem::resize_file(path_, 100);
  std::vector<std::byte> bytes(200);
  file.Read(0, std::span(bytes).first(100));
  try {
    file.Read(0, bytes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_THAT(error.what(), testing::AllOf(testing::StartsWith(path_.string()),
                                             testing::HasSubstr("end at byte 100"),
                                             testing::HasSubstr("expected 5003 bytes")));
  }
}

TEST(InputFile, FoldersAndMissingFilesAreNamed) {
  EXPECT_THROW(InputFile("/"), Error);
  EXPECT_THROW(InputFile("/nonexistent"), Error);
}

}  // namespace
}  // namespace quantspec
