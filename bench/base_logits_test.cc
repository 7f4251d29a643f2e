#include "bench/base_logits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <sstream>

#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

std::string Path(const std::string& name) {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("quantspec-base-logits." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  return folder / name;
}

std::string ReadBytes(const std::string& path) {
  std::stringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

std::string WriteBytes(const std::string& bytes) {
  const std::string path = Path("bytes");
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path;
}

// One window of 4 tokens: one scored row, of 3 tokens and one code of padding.
BaseLogitsHeader SmallHeader() { return {4, 3, 1, {0, 2, 1, 2}}; }

std::string SmallFile() {
  const std::string path = Path("small");
  BaseLogitsWriter writer(path, SmallHeader());
  writer.Add(std::vector<float>{0, -20, -8});
  writer.Finish();
  return ReadBytes(path);
}

template <typename T>
T At(const std::string& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

TEST(BaseLogitsWriter, WritesTheBytesOfTheFormat) {
  const std::string bytes = SmallFile();
  ASSERT_EQ(bytes.size(), 8u + 12 + 16 + 8 + 8);
  EXPECT_EQ(bytes.substr(0, 8), "_logits_");
  EXPECT_EQ(At<int32_t>(bytes, 8), 4);   // window
  EXPECT_EQ(At<int32_t>(bytes, 12), 3);  // vocabulary
  EXPECT_EQ(At<int32_t>(bytes, 16), 1);  // windows
  EXPECT_EQ(At<int32_t>(bytes, 24), 2);  // the second token
  const float log_sum = std::log(1.0f + std::exp(-20.0f) + std::exp(-8.0f));
  EXPECT_FLOAT_EQ(At<float>(bytes, 36), 16.0f / 65535);
  EXPECT_NEAR(At<float>(bytes, 40), -16 - log_sum, 1e-5);
  EXPECT_EQ(At<uint16_t>(bytes, 44), 65535);
  EXPECT_EQ(At<uint16_t>(bytes, 46), 0);      // clipped at 16 below the largest
  EXPECT_EQ(At<uint16_t>(bytes, 48), 32768);  // half way: 32767.5, to even
  EXPECT_EQ(At<uint16_t>(bytes, 50), 0);      // padding
}

TEST(BaseLogitsReader, ReadsWhatWasWritten) {
  BaseLogitsHeader header{6, 101, 2, {}};
  for (int i = 0; i < 12; ++i) header.tokens.push_back(i * 8);
  const std::string path = Path("round");
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 4);
  std::vector<std::vector<float>> rows(4, std::vector<float>(101));
  BaseLogitsWriter writer(path, header);
  for (auto& row : rows) {
    for (float& logit : row) logit = normal(random);
    writer.Add(row);
  }
  writer.Finish();

  BaseLogitsReader reader(path);
  EXPECT_EQ(reader.header().rows(), 2);
  EXPECT_EQ(reader.header().tokens, header.tokens);
  for (const auto& logits : rows) {
    BaseRow row;
    reader.Next(row);
    const Distribution expected(logits);
    const float step = row.scale;
    EXPECT_LE(step, 16.0f / 65535 * 1.0001f);
    for (size_t token = 0; token < logits.size(); ++token) {
      if (logits[token] < logits[expected.likeliest()] - 16) continue;
      EXPECT_NEAR(row.LogProbability(token), expected.LogProbability(token), step / 2 + 1e-5);
    }
  }
  BaseRow row;
  EXPECT_THROW(reader.Next(row), Error);
}

TEST(BaseLogitsWriter, GivesAFileOfEqualLogitsNoScale) {
  BaseRow row;
  EncodeBaseRow(std::vector<float>{2, 2, 2, 2}, row);
  EXPECT_EQ(row.scale, 0);
  EXPECT_NEAR(row.LogProbability(3), std::log(0.25), 1e-6);
}

TEST(BaseLogitsWriter, LeavesNothingBehindWithoutFinish) {
  const std::string path = Path("unfinished");
  { BaseLogitsWriter writer(path, SmallHeader()); }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  BaseLogitsWriter writer(path, SmallHeader());
  EXPECT_THROW(writer.Finish(), Error);  // a row is missing
  EXPECT_THROW(BaseLogitsWriter("/nonexistent/file", SmallHeader()), Error);
}

std::string MessageOf(const std::string& bytes) {
  try {
    BaseLogitsReader reader(WriteBytes(bytes));
    BaseRow row;
    const int64_t rows = int64_t{reader.header().windows} * reader.header().rows();
    for (int64_t i = 0; i < rows; ++i) reader.Next(row);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(BaseLogitsReader, RefusesEveryPrefixOfAFile) {
  const std::string bytes = SmallFile();
  ASSERT_EQ(MessageOf(bytes), "");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(MessageOf(bytes.substr(0, size)), "") << size;
  }
  EXPECT_THAT(MessageOf(bytes.substr(0, 51)), HasSubstr("has 51 bytes"));
  EXPECT_THAT(MessageOf(bytes + "x"), HasSubstr("take 52"));
}

TEST(BaseLogitsReader, SaysWhatIsWrong) {
  const auto with = [](size_t at, auto value) {
    std::string bytes = SmallFile();
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    return MessageOf(bytes);
  };
  EXPECT_THAT(with(0, 'x'), HasSubstr("begin with '_logits_'"));
  EXPECT_THAT(with(8, int32_t{2}), HasSubstr("window's length is 2"));
  EXPECT_THAT(with(12, int32_t{0}), HasSubstr("vocabulary is 0"));
  EXPECT_THAT(with(16, int32_t{-1}), HasSubstr("number of windows is -1"));
  EXPECT_THAT(with(16, int32_t{1 << 28}), HasSubstr("has 52 bytes"));
  EXPECT_THAT(with(20, int32_t{3}), HasSubstr("token 3 is outside its vocabulary of 3"));
  EXPECT_THAT(with(36, std::nanf("")), HasSubstr("row 0: its scale is nan"));
  EXPECT_THAT(with(40, -INFINITY), HasSubstr("row 0"));
  EXPECT_THROW(BaseLogitsReader("/nonexistent/file"), Error);
  EXPECT_THROW(BaseLogitsReader("/tmp"), Error);
}

TEST(BaseLogitsReader, SurvivesRandomBytes) {
  std::mt19937 random(7);
  const std::string file = SmallFile();
  for (int round = 0; round < 500; ++round) {
    std::string bytes = file;
    for (int change = 0; change < 3; ++change) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    MessageOf(bytes);
  }
}

TEST(BaseScores, OfTheSameRowShowNoDifference) {
  const std::vector<float> logits = {1.5f, -2, 0.25f, 3};
  BaseRow base;
  EncodeBaseRow(logits, base);
  BaseScores scores;
  scores.Add(base, logits, 2);
  scores.Add(base, logits, 0);
  EXPECT_NEAR(scores.kld().mean, 0, 1.3e-4);  // half a step of the codes
  EXPECT_DOUBLE_EQ(scores.top1().mean, 1);
  EXPECT_NEAR(scores.log_ratio().mean, 0, 1.3e-4);
  EXPECT_NEAR(scores.perplexity() / scores.base_perplexity(), 1, 1.3e-4);
}

TEST(BaseScores, MatchAHandComputedPair) {
  BaseRow base;
  EncodeBaseRow(std::vector<float>{std::log(0.75f), std::log(0.25f)}, base);
  BaseScores scores;
  scores.Add(base, std::vector<float>{std::log(0.25f), std::log(0.75f)}, 0);
  EXPECT_NEAR(scores.kld().mean, 0.5 * std::log(3.0), 1e-5);
  EXPECT_DOUBLE_EQ(scores.top1().mean, 0);
  EXPECT_NEAR(scores.log_ratio().mean, std::log(3.0), 1e-5);
  EXPECT_NEAR(scores.base_perplexity(), 4.0 / 3, 1e-5);
  EXPECT_NEAR(scores.perplexity(), 4, 1e-5);
  EXPECT_NEAR(scores.kld_quantile(0.5), 0.5 * std::log(3.0), 1e-5);
}

}  // namespace
}  // namespace quantspec
