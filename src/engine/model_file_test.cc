#include "engine/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "formats/tiny_gguf.h"
#include "quantspec/engine.h"

namespace quantspec {
namespace {

std::unique_ptr<ModelFile> OpenTiny(const std::string& path) {
  EngineOptions options;
  options.model_path = path;
  options.weights = WeightMode::kNested;
  options.threads = 2;
  return ModelFile::Open(options);
}

template <typename Work>
std::string IoError(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(ModelFile, AFileCutBeforeItsWeightsAreLoadedIsNamed) {
  const TestFolder folder("cut");
  const std::string path = folder.Write("tiny.gguf", TinyGguf().Finish());
  const std::shared_ptr<const ModelFile> file = OpenTiny(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 4000);
  EXPECT_THAT(IoError([&] { Engine::Load(file); }), testing::StartsWith(path));
}

TEST(ModelFile, AFileCutWhileItIsUsedIsNamed) {
  const TestFolder folder("cut");
  const std::string path = folder.Write("tiny.gguf", TinyGguf().Finish());
  const auto session = Engine::Load(OpenTiny(path))->Open(SessionOptions());
  const std::vector<Token> prompt = {1, 2, 3};
  EXPECT_TRUE(session->Prefill(prompt));
  std::filesystem::resize_file(path, 100);
  EXPECT_THAT(IoError([&] { session->Step(Reader::kTarget, prompt); }), testing::StartsWith(path));
}

TEST(ModelFile, TheEngineHasTheOptionsOfItsFile) {
  const TestFolder folder("options");
  const auto engine = Engine::Load(OpenTiny(folder.Write("tiny.gguf", TinyGguf().Finish())));
  EXPECT_EQ(engine->options().weights, WeightMode::kNested);
  EXPECT_EQ(engine->threads(), 2);
}

TEST(ModelFile, GuessesAreWarnings) {
  const TestFolder folder("warnings");
  EXPECT_THAT(OpenTiny(folder.Write("tiny.gguf", TinyGguf().Finish()))->warnings(),
              testing::IsEmpty());
  GgufTestFile file;
  AddTinyConfig(file);
  TokenizerSpec spec = TinyBpe();
  spec.pre_tokenizer.clear();
  AddTokenizer(file, spec);
  for (size_t i = 0; i < TinyTensors().size(); ++i) AddTinyTensor(file, i);
  EXPECT_THAT(OpenTiny(folder.Write("unnamed.gguf", file.Finish()))->warnings(),
              testing::ElementsAre(testing::HasSubstr("tokenizer.ggml.pre")));
}

TEST(ModelFile, TensorsHaveTheNamesOfTheFile) {
  const TestFolder folder("tensors");
  const auto file = OpenTiny(folder.Write("tiny.gguf", TinyGguf().Finish()));
  const std::vector<TensorInfo> tensors = file->Tensors();
  ASSERT_EQ(tensors.size(), TinyTensors().size());
  EXPECT_EQ(tensors.front().name, "blk.0.attn_k.weight");
  EXPECT_EQ(tensors.front().stored_type, "hq8 g32");
  EXPECT_EQ(tensors.front().source_type, "F32");
}

}  // namespace
}  // namespace quantspec
