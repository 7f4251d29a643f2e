#include "formats/hf_quant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

HfQuant Read(const std::string& config) {
  return ReadHfQuant(JsonTree::parse(config), "config.json");
}

std::string Refusal(const std::string& config, ErrorKind kind = ErrorKind::kUnsupported) {
  try {
    Read(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), testing::StartsWith("config.json: "));
    return error.what();
  }
  ADD_FAILURE() << "not refused: " << config;
  return "";
}

std::string Method(const std::string& fields) {
  return R"({"quantization_config":{)" + fields + "}}";
}
std::string CompressedTensors(const std::string& format, const std::string& weights) {
  return Method(R"("quant_method":"compressed-tensors","format":")" + format +
                R"(","config_groups":{"group_0":{"weights":{)" + weights + "}}}");
}

TEST(HfQuant, ReadsTheMethodsItKnows) {
  using M = HfQuant::Method;
  EXPECT_EQ(Read("{}").method, M::kNone);
  EXPECT_EQ(Read(CompressedTensors("pack-quantized", R"("num_bits":4)")).bits, 4);
  EXPECT_EQ(Read(R"({"quantization":{"group_size":64,"bits":4}})").group, 64);
  EXPECT_EQ(Read(Method(R"("quant_method":"fp8")")).method, M::kFp8);
  EXPECT_EQ(Read(Method(R"("quant_method":"awq","bits":4,"group_size":128)")).method, M::kAwq);
  const std::string gptq = R"("quant_method":"gptq","bits":4,"group_size":-1)";
  EXPECT_EQ(Read(Method(gptq)).zero_offset, 1);
  EXPECT_EQ(Read(Method(gptq + R"(,"checkpoint_format":"gptq_v2")")).zero_offset, 0);
  EXPECT_FALSE(Read(Method(gptq + R"(,"sym":false)")).is_symmetric);
}

TEST(HfQuant, RefusesOthersByTheirNames) {
  EXPECT_THAT(Refusal(Method(R"("quant_method":"bitsandbytes")")), HasSubstr("bitsandbytes"));
  EXPECT_THAT(Refusal(CompressedTensors("nvfp4-pack-quantized", R"("num_bits":4)")),
              HasSubstr("nvfp4"));
  EXPECT_THAT(Refusal(CompressedTensors("pack-quantized", R"("num_bits":3)")),
              HasSubstr("4 and 8"));
  EXPECT_THAT(Refusal(CompressedTensors("pack-quantized", R"("num_bits":4,"actorder":"group")")),
              HasSubstr("actorder"));
  EXPECT_THAT(Refusal(R"({"quantization":{"group_size":32,"bits":4,"mode":"mxfp4"}})"),
              HasSubstr("mxfp4"));
  EXPECT_THAT(Refusal(Method(R"("quant_method":"awq","bits":4,"group_size":128,"version":"gemv")")),
              HasSubstr("gemv"));
  EXPECT_THAT(Refusal(Method(R"("quant_method":"gptq","bits":3,"group_size":128)")),
              HasSubstr("bits"));
  EXPECT_THAT(Refusal(Method(R"("quant_method":"gptq","bits":4,"group_size":48)")),
              HasSubstr("group_size"));
  EXPECT_THAT(Refusal(Method(R"("quant_method":"gptq","bits":4)"), ErrorKind::kCorrupt),
              HasSubstr("group_size"));
  EXPECT_THAT(Refusal(Method(R"("quant_method":"compressed-tensors","format":"pack-quantized")"),
                      ErrorKind::kCorrupt),
              HasSubstr("config_groups"));
}

}  // namespace
}  // namespace quantspec
