#include "formats/gguf_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "formats/load_model.h"
#include "formats/tiny_gguf.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

struct Part {
  uint16_t number = 0, count = 3;
  int32_t tensors = 11;
  std::vector<size_t> held;  // of TinyTensors()
};

std::string BytesOf(const Part& part) {
  GgufTestFile file;
  if (part.number == 0) {
    AddTinyConfig(file);
    AddTokenizer(file, TinyBpe());
  }
  file.Entry("split.no", 2, GgufTestFile::Bytes(part.number));
  file.Entry("split.count", 2, GgufTestFile::Bytes(part.count));
  file.Entry("split.tensors.count", 5, GgufTestFile::Bytes(part.tensors));
  for (const size_t index : part.held) AddTinyTensor(file, index);
  return file.Finish();
}

// A model in three parts; what tests change of it is written over.
class SplitModel : public testing::Test {
 protected:
  void SetUp() override {
    Write({0, 3, 11, {0, 1, 2}});
    Write({1, 3, 11, {3, 4, 5, 6}});
    Write({2, 3, 11, {7, 8, 9, 10}});
  }
  std::string PathOf(int part) const {
    return folder_.Path("tiny-0000" + std::to_string(part + 1) + "-of-00003.gguf");
  }
  void Write(const Part& part) const {
    folder_.Write(std::filesystem::path(PathOf(part.number)).filename(), BytesOf(part));
  }
  std::string Refusal(int opened, ErrorKind kind = ErrorKind::kCorrupt) const {
    try {
      OpenGgufFiles(PathOf(opened));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "no error";
  }

  const TestFolder folder_{"split"};
};

TEST_F(SplitModel, AnyPartOpensTheWholeModel) {
  const LoadedModel whole = LoadModel(folder_.Write("whole.gguf", TinyGguf().Finish()));
  for (int part = 0; part < 3; ++part) {
    const LoadedModel model = LoadModel(PathOf(part));
    EXPECT_EQ(model.name, PathOf(0));
    ASSERT_EQ(model.tensors.size(), whole.tensors.size());
    for (size_t i = 0; i < model.tensors.size(); ++i) {
      const SourceTensor& tensor = model.tensors[i];
      EXPECT_EQ(tensor.name, whole.tensors[i].name);
      const auto values = [](const SourceTensor& of) {
        std::vector<float> decoded(static_cast<size_t>(of.rows() * of.columns()));
        of.reader->Decode(0, Rows(decoded.data(), of.rows(), of.columns()));
        return decoded;
      };
      EXPECT_EQ(values(tensor), values(whole.tensors[i])) << tensor.name;
    }
    EXPECT_EQ(model.tokenizer->pieces, whole.tokenizer->pieces);
  }
}

TEST_F(SplitModel, AMissingPartIsNamedWithWhatToDo) {
  std::filesystem::remove(PathOf(1));
  for (const int opened : {0, 2}) {
    EXPECT_THAT(Refusal(opened, ErrorKind::kIo),
                testing::AllOf(HasSubstr(PathOf(1) + ": cannot open"),
                               HasSubstr("part " + std::to_string(opened + 1) + " of 3"),
                               HasSubstr("put all parts into one folder")));
  }
}

TEST_F(SplitModel, ARenamedPartIsRefusedWithTheNameItNeeds) {
  const std::string path = folder_.Path("renamed.gguf");
  std::filesystem::rename(PathOf(1), path);
  try {
    OpenGgufFiles(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("part 2 of 3"), HasSubstr("-00002-of-00003.gguf")));
  }
}

TEST_F(SplitModel, PartsThatDoNotBelongTogetherAreRefused) {
  std::filesystem::copy_file(PathOf(0), PathOf(1),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(Refusal(2), testing::AllOf(HasSubstr(PathOf(1)), HasSubstr("found part 1 of"),
                                         HasSubstr("expected part 2 of 3")));
  Write({1, 3, 12, {3, 4, 5, 6}});
  EXPECT_THAT(Refusal(0), HasSubstr("of a model of 12 tensors"));
  Write({1, 3, 11, {3, 4, 5}});
  EXPECT_THAT(Refusal(0), HasSubstr("found 11, but the parts hold 10 tensors"));
  Write({1, 3, 11, {3, 4, 5, 7}});
  EXPECT_THAT(Refusal(0), HasSubstr("found here and in " + PathOf(1)));
}

TEST_F(SplitModel, AbsurdPlacesAreRefused) {
  Write({2, 2, 11, {7}});
  EXPECT_THAT(Refusal(2), HasSubstr("split.no: found 2, expected 0 to 1"));
  GgufTestFile file;
  AddNumber(file, "split.count", 100000);
  const std::string path = folder_.Write("many.gguf", file.Finish());
  EXPECT_THROW(OpenGgufFiles(path), Error);
}

TEST_F(SplitModel, OnePartOfOneIsAWholeFile) {
  GgufTestFile file = TinyGguf();
  file.Entry("split.no", 2, GgufTestFile::Bytes(uint16_t{0}));
  file.Entry("split.count", 2, GgufTestFile::Bytes(uint16_t{1}));
  EXPECT_EQ(OpenGgufFiles(folder_.Write("any name", file.Finish())).size(), 1u);
}

}  // namespace
}  // namespace quantspec
