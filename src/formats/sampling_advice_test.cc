#include "formats/sampling_advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "formats/gguf_files.h"
#include "formats/tiny_gguf.h"

namespace quantspec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

SamplingAdvice OfFolder(const char* text, std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> told;
  const SamplingAdvice advice = ReadHfSampling(JsonTree::parse(text), "g.json", &told);
  if (warnings != nullptr) *warnings = told;
  return advice;
}

TEST(SamplingAdvice, IsReadFromGenerationConfig) {
  const SamplingAdvice advice = OfFolder(
      R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.05,
          "repetition_penalty": 1.1})");
  EXPECT_THAT(advice.temperature, Optional(0.6f));
  EXPECT_THAT(advice.top_k, Optional(20));
  EXPECT_THAT(advice.top_p, Optional(0.95f));
  EXPECT_THAT(advice.min_p, Optional(0.05f));
  EXPECT_THAT(advice.repeat_penalty, Optional(1.1f));
  EXPECT_THAT(advice.repeat_window, Optional(std::numeric_limits<int>::max()));
}

TEST(SamplingAdvice, DoSampleSaysWhetherTheRestCounts) {
  EXPECT_THAT(OfFolder(R"({"do_sample": false, "temperature": 0.6})").temperature, Optional(0.0f));
  EXPECT_THAT(OfFolder(R"({"do_sample": false, "top_k": 5})").top_k, testing::Eq(std::nullopt));
  EXPECT_THAT(OfFolder(R"({"do_sample": true})").temperature, Optional(1.0f));
  EXPECT_THAT(OfFolder(R"({"temperature": 0.6})").temperature, Optional(0.6f));
  EXPECT_THAT(OfFolder(R"({"eos_token_id": 2})").temperature, testing::Eq(std::nullopt));
  EXPECT_THAT(OfFolder(R"({"repetition_penalty": 1.0})").repeat_penalty, testing::Eq(std::nullopt));
  EXPECT_THAT(OfFolder("[]").temperature, testing::Eq(std::nullopt));
}

TEST(SamplingAdvice, ValuesOutOfRangeAreLeftOutWithAWarning) {
  std::vector<std::string> warnings;
  const SamplingAdvice advice =
      OfFolder(R"({"do_sample": true, "temperature": -1, "top_p": 1.5, "top_k": 2.5})", &warnings);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("g.json: temperature: found -1"),
                                    HasSubstr("top_k: found 2.5"), HasSubstr("from 0 to 1")));
  EXPECT_THAT(advice.temperature, testing::Eq(std::nullopt));
  EXPECT_THAT(advice.top_p, testing::Eq(std::nullopt));
}

TEST(SamplingAdvice, IsReadFromGgufMetadata) {
  GgufTestFile file = TinyGguf();
  AddFloat(file, "general.sampling.temp", 0.7f);
  AddNumber(file, "general.sampling.top_k", 40);
  AddNumber(file, "general.sampling.penalty_last_n", 128);
  const TestFolder folder("advice");
  std::vector<std::string> warnings;
  const std::string path = folder.Write("tiny.gguf", file.Finish());
  const SamplingAdvice advice = ReadGgufSampling(OpenGgufFiles(path).front().gguf, &warnings);
  EXPECT_THAT(advice.temperature, Optional(0.7f));
  EXPECT_THAT(advice.top_k, Optional(40));
  EXPECT_THAT(advice.repeat_window, Optional(128));
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(SamplingAdvice, GoesOverOptions) {
  SamplingOptions options;
  options.seed = 5;
  options.top_k = 3;
  SamplingAdvice advice;
  advice.temperature = 0.5f;
  const SamplingOptions changed = advice.ApplyTo(options);
  EXPECT_EQ(changed.temperature, 0.5f);
  EXPECT_EQ(changed.top_k, 3);
  EXPECT_EQ(changed.seed, 5u);
}

}  // namespace
}  // namespace quantspec
