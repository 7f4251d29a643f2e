#include "formats/hf_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "formats/load_model.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

// A folder that goes when the test ends.
class HfFiles : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / (std::string("quantspec_hf_") + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  // One tensor of one byte each.
  void WriteShard(const std::string& name, const std::vector<std::string>& tensors) const {
    std::string header = "{";
    for (size_t i = 0; i < tensors.size(); ++i) {
      header += (i == 0 ? "\"" : ",\"") + tensors[i] +
                R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
                std::to_string(i + 1) + "]}";
    }
    header += "}";
    const uint64_t length = header.size();
    std::string start(sizeof(length), '\0');
    std::memcpy(start.data(), &length, sizeof(length));
    Write(name, start + header + std::string(tensors.size(), '\0'));
  }
  void WriteIndex(const std::string& weight_map) const {
    Write("model.safetensors.index.json",
          R"({"metadata":{"total_size":3},"weight_map":)" + weight_map + "}");
  }
  std::string Refusal(ErrorKind kind) const {
    try {
      OpenHfFiles(folder_.string());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "not refused";
    return "";
  }

  fs::path folder_;
};

TEST_F(HfFiles, OpensTheShardsThatAnIndexNamesThroughLinks) {
  WriteShard("blob1", {"a", "b"});
  WriteShard("blob2", {"c"});
  fs::create_symlink("blob1", folder_ / "one.safetensors");
  fs::create_symlink(folder_ / "blob2", folder_ / "two.safetensors");
  WriteIndex(R"({"c":"two.safetensors","a":"one.safetensors","b":"one.safetensors"})");
  const auto files = OpenHfFiles(folder_.string());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_NE(files[0].tensors.Find("b"), nullptr);
  EXPECT_NE(files[1].tensors.Find("c"), nullptr);
}

TEST_F(HfFiles, OneFileGoesBeforeAnIndex) {
  WriteShard("model.safetensors", {"a"});
  WriteIndex(R"({"a":"missing.safetensors"})");
  EXPECT_EQ(OpenHfFiles(folder_.string()).size(), 1u);
}

TEST_F(HfFiles, NamesWhatIsMissing) {
  WriteIndex(R"({"a":"one.safetensors"})");
  EXPECT_THAT(Refusal(ErrorKind::kIo), AllOf(HasSubstr("one.safetensors"), HasSubstr("missing")));
  WriteShard("one.safetensors", {"b"});
  EXPECT_THAT(Refusal(ErrorKind::kCorrupt), HasSubstr("tensor a: found none in one.safetensors"));
}

TEST_F(HfFiles, RefusesATensorInTwoShards) {
  WriteShard("one.safetensors", {"a"});
  WriteShard("two.safetensors", {"a", "b"});
  WriteIndex(R"({"a":"one.safetensors","b":"two.safetensors"})");
  EXPECT_THAT(Refusal(ErrorKind::kCorrupt), HasSubstr("expected it once"));
}

TEST_F(HfFiles, RefusesBadIndexes) {
  for (const char* map :
       {R"({"a":"../one.safetensors"})", R"({"a":"/etc/passwd"})", R"({"a":"x\u0000y"})",
        R"({"a":""})", R"({"a":1})", R"([])", "{}", R"({"a":"one","a":"one"})"}) {
    WriteIndex(map);
    EXPECT_THAT(Refusal(ErrorKind::kCorrupt), HasSubstr("index.json")) << map;
  }
}

TEST_F(HfFiles, SaysWhatAFolderHoldsInstead) {
  EXPECT_THAT(Refusal(ErrorKind::kIo), HasSubstr("found no weights"));
  Write("pytorch_model.bin", "x");
  EXPECT_THAT(Refusal(ErrorKind::kUnsupported), HasSubstr("found pytorch_model.bin"));
}

TEST_F(HfFiles, AFolderWithoutAModelSaysSo) {
  try {
    LoadModel(folder_.string());
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("found no config.json"));
  }
}

}  // namespace
}  // namespace quantspec
