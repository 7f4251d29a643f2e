#include "formats/hf_quant_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "quantspec/error.h"

namespace quantspec {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Method = HfQuant::Method;

struct Stored {
  std::string dtype;
  std::vector<int> shape;
  int bytes_a_value;
};
using Tensors = std::map<std::string, Stored>;

// A file of zeros.
std::vector<SourceTensor> Make(const Tensors& tensors, const HfQuant& quant) {
  std::string header = "{";
  int at = 0;
  for (const auto& [name, one] : tensors) {
    std::string shape;
    int bytes = one.bytes_a_value;
    for (const int side : one.shape) {
      shape += (shape.empty() ? "" : ",") + std::to_string(side);
      bytes *= side;
    }
    header += (at == 0 ? "\"" : ",\"") + name + R"(":{"dtype":")" + one.dtype + R"(","shape":[)" +
              shape + R"(],"data_offsets":[)" + std::to_string(at) + "," +
              std::to_string(at + bytes) + "]}";
    at += bytes;
  }
  header += "}";
  const uint64_t length = header.size();
  std::string start(sizeof(length), '\0');
  std::memcpy(start.data(), &length, sizeof(length));
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const fs::path path = fs::temp_directory_path() / (std::string("quantspec_q_") + test->name());
  std::ofstream(path, std::ios::binary)
      << start + header + std::string(static_cast<size_t>(at), '\0');
  std::vector<SafetensorsFile> files;
  files.push_back(OpenSafetensors(path.string()));
  fs::remove(path);  // stays open
  return MakeHfTensors(files, quant, HfNames());
}

std::string Refusal(const Tensors& tensors, const HfQuant& quant,
                    ErrorKind kind = ErrorKind::kCorrupt) {
  try {
    Make(tensors, quant);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "not refused";
  return "";
}

const std::string kBase = "model.layers.0.mlp.up_proj.";

Tensors Packed() {
  return {{kBase + "weight_packed", {"I32", {8, 16}, 4}},  // 8 x 128
          {kBase + "weight_scale", {"BF16", {8, 4}, 2}},
          {kBase + "weight_shape", {"I64", {2}, 8}}};
}
HfQuant Of(Method method, int bits = 4, int64_t group = 32) {
  HfQuant quant;
  quant.method = method;
  quant.name = "test";
  quant.bits = bits;
  quant.group = group;
  return quant;
}

TEST(HfQuantTensors, OneMatrixIsOneTensor) {
  const auto made = Make(Packed(), Of(Method::kCompressedTensors));
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].name, "layers.0.ffn.up");
  EXPECT_EQ(made[0].shape, (std::vector<int64_t>{8, 128}));
  EXPECT_EQ(made[0].reader->codes().bits, 4);
  EXPECT_EQ(made[0].reader->codes().group, 32);
}

TEST(HfQuantTensors, NamesThePartThatDoesNotFit) {
  const HfQuant quant = Of(Method::kCompressedTensors);
  const auto with = [](const std::string& part, Stored stored) {
    Tensors tensors = Packed();
    tensors[kBase + part] = std::move(stored);
    return tensors;
  };
  Tensors missing = Packed();
  missing.erase(kBase + "weight_scale");
  EXPECT_THAT(Refusal(missing, quant), HasSubstr("up_proj.weight_scale beside it"));
  EXPECT_THAT(Refusal(with("weight_scale", {"BF16", {7, 4}, 2}), quant), HasSubstr("[7, 4]"));
  EXPECT_THAT(Refusal(with("weight_scale", {"BF16", {8, 3}, 2}), quant), HasSubstr("[8, 3]"));
  EXPECT_THAT(Refusal(with("weight_scale", {"I32", {8, 4}, 4}), quant), HasSubstr("I32"));
  EXPECT_THAT(Refusal(with("weight_scale", {"BF16", {32}, 2}), quant), HasSubstr("a matrix"));
  EXPECT_THAT(Refusal(with("weight_packed", {"U32", {8, 16}, 4}), quant), HasSubstr("U32"));
  EXPECT_THAT(Refusal(with("weight_zero_point", {"I32", {8, 4}, 4}), quant),
              HasSubstr("weight_zero_point"));
  EXPECT_THAT(Refusal(with("weight_g_idx", {"I32", {128}, 4}), quant, ErrorKind::kUnsupported),
              HasSubstr("actorder"));
  EXPECT_THAT(Refusal(Packed(), Of(Method::kNone), ErrorKind::kUnsupported),
              HasSubstr("weight_packed"));
}

TEST(HfQuantTensors, MlxTellsItsBitsByItsShapes) {
  const auto file = [](int words) {
    return Tensors{{kBase + "weight", {"U32", {8, words}, 4}},
                   {kBase + "scales", {"BF16", {8, 4}, 2}},
                   {kBase + "biases", {"BF16", {8, 4}, 2}}};
  };
  EXPECT_EQ(Make(file(16), Of(Method::kMlx)).at(0).reader->codes().bits, 4);
  EXPECT_EQ(Make(file(32), Of(Method::kMlx)).at(0).reader->codes().bits, 8);
  EXPECT_THAT(Refusal(file(24), Of(Method::kMlx), ErrorKind::kUnsupported), HasSubstr("4 or 8"));
  Tensors uneven = file(16);
  uneven[kBase + "biases"].shape = {8, 5};
  EXPECT_THAT(Refusal(uneven, Of(Method::kMlx)), HasSubstr("biases"));
}

TEST(HfQuantTensors, TransposedOnesAreChecked) {
  const Tensors gptq = {{kBase + "qweight", {"I32", {16, 8}, 4}},
                        {kBase + "qzeros", {"I32", {4, 1}, 4}},
                        {kBase + "scales", {"F16", {4, 8}, 2}}};
  const auto made = Make(gptq, Of(Method::kGptq));
  EXPECT_EQ(made.at(0).shape, (std::vector<int64_t>{8, 128}));
  EXPECT_THAT(Refusal(gptq, Of(Method::kGptq, 4, 64)), HasSubstr("scales: found [4, 8]"));
  Tensors zeros = gptq;
  zeros[kBase + "qzeros"].shape = {4, 2};
  EXPECT_THAT(Refusal(zeros, Of(Method::kGptq)), HasSubstr("qzeros"));
  Tensors order = gptq;
  order[kBase + "g_idx"] = {"I32", {128}, 4};  // all in the first group
  EXPECT_THAT(Refusal(order, Of(Method::kGptq), ErrorKind::kUnsupported), HasSubstr("desc_act"));
}

TEST(HfQuantTensors, Fp8TakesThreeShapesOfScales) {
  for (const std::vector<int>& shape : {std::vector<int>{}, {1}, {200, 1}, {2, 3}}) {
    const Tensors file = {{kBase + "weight", {"F8_E4M3", {200, 300}, 1}},
                          {kBase + "weight_scale", {"F32", shape, 4}}};
    EXPECT_EQ(Make(file, Of(Method::kFp8)).at(0).reader->codes().bits, 0);
  }
  const Tensors bad = {{kBase + "weight", {"F8_E4M3", {200, 300}, 1}},
                       {kBase + "weight_scale", {"F32", {3, 2}, 4}}};
  EXPECT_THAT(Refusal(bad, Of(Method::kFp8)), HasSubstr("6 scales"));
}

}  // namespace
}  // namespace quantspec
