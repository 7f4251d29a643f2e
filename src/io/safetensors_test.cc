#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include "io/json_reader.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

// A file: the header's length, the header, and `data` zeros.
std::string File(const std::string& header, size_t data = 0) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + header + std::string(data, '\0');
}

Safetensors Parse(const std::string& file) {
  const auto bytes = std::as_bytes(std::span(file));
  const uint64_t length = Safetensors::HeaderBytes(bytes.first(std::min<size_t>(8, bytes.size())),
                                                   file.size(), "model.safetensors");
  return Safetensors::Parse(std::string_view(file).substr(8, length), file.size(),
                            "model.safetensors");
}

// What parsing throws; "" if nothing.
std::string Refusal(const std::string& file) {
  try {
    Parse(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(error.what(), testing::StartsWith("model.safetensors: "));
    EXPECT_THAT(error.what(), HasSubstr("found "));
    EXPECT_THAT(error.what(), HasSubstr("expected "));
    return error.what();
  }
  return "";
}

std::string Entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}
std::string One(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":)" + Entry(dtype, shape, offsets) + "}";
}
std::string Two(const std::string& a, const std::string& b) {
  return R"({"a":)" + a + R"(,"b":)" + b + "}";
}

const std::string kTwo64 = "18446744073709551616", kTwo63 = "9223372036854775808";

TEST(Safetensors, GivesNamesShapesAndPlaces) {
  const std::string header = R"({"__metadata__":{"format":"pt"},"b":)" +
                             Entry("BF16", "[2,3]", "[4,16]") + R"(,"\u0061":)" +
                             Entry("F32", "[]", "[0,4]") + "} ";
  const std::string file = File(header, 16);
  const Safetensors parsed = Parse(file);
  ASSERT_EQ(parsed.tensors().size(), 2u);
  const StTensor* b = parsed.Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, StDtype::kBF16);
  EXPECT_THAT(parsed.ShapeOf(*b), testing::ElementsAre(2, 3));
  EXPECT_EQ(b->offset, 8 + header.size() + 4);
  EXPECT_EQ(b->bytes, 12u);
  ASSERT_NE(parsed.Find("a"), nullptr);
  EXPECT_EQ(parsed.ShapeOf(*parsed.Find("a")).size(), 0u);
  EXPECT_EQ(parsed.Find("c"), nullptr);
  EXPECT_EQ(parsed.metadata().at(0).second, "pt");
}

TEST(Safetensors, TakesWhatTheReferenceTakes) {
  for (const std::string& file :
       {File("{}"), File(" {}  "), File("{ }"), File(One("F32", "[2,2]", "[0,16]"), 16),
        File(Two(Entry("F32", "[1]", "[4,8]"), Entry("F32", "[1]", "[0,4]")), 8),
        File(One("F32", "[0," + kTwo63 + ",4]", "[0,0]")), File(One("F32", "[2,0]", "[0,0]")),
        File(Two(Entry("F32", "[0]", "[0,0]"), Entry("F32", "[0]", "[0,0]"))),
        File(One("F4", "[2]", "[0,1]"), 1),
        File(Two(Entry("U8", "[1]", "[0,1]"), Entry("F32", "[1]", "[1,5]")), 5),
        File(R"({"__metadata__":null})"), File(R"({"__metadata__":{"format":"pt"}})"),
        File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[{}]}})", 4)}) {
    EXPECT_EQ(Refusal(file), "") << file;
  }
  for (const char* dtype :
       {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}) {
    EXPECT_EQ(Refusal(File(One(dtype, "[8]", "[0,8]"), 8)), "") << dtype;
  }
  for (const char* dtype : {"I16", "U16", "F16", "BF16"}) {
    EXPECT_EQ(Refusal(File(One(dtype, "[4]", "[0,8]"), 8)), "") << dtype;
  }
  for (const char* dtype : {"F64", "C64", "I64", "U64"}) {
    EXPECT_EQ(Refusal(File(One(dtype, "[1]", "[0,8]"), 8)), "") << dtype;
  }
  for (const char* dtype : {"F6_E2M3", "F6_E3M2"}) {
    EXPECT_EQ(Refusal(File(One(dtype, "[8]", "[0,6]"), 6)), "") << dtype;
  }
}

struct Bad {
  std::string file, says;
};

TEST(Safetensors, RefusesWhatTheReferenceRefuses) {
  std::string huge_length = File("{}");
  std::memset(huge_length.data(), 0xFF, 8);
  std::string long_length = File("{}");
  const uint64_t above = Safetensors::kMostHeaderBytes + 1;
  std::memcpy(long_length.data(), &above, 8);
  std::string past_end = File("{}");
  past_end[0] = 100;
  const std::string f32 = Entry("F32", "[1]", "[0,4]");
  for (const Bad& bad : std::vector<Bad>{
           {"", "0 bytes"},
           {std::string(7, '\1'), "7 bytes"},
           {File(""), "JSON value"},
           {File("{}", 4), "4 bytes behind the last tensor"},
           {huge_length, "length of the header"},
           {long_length, "length of the header"},
           {past_end, "length of the header"},
           {File(std::string("{}\0\0", 4)), "the end of the text"},
           {File("{}x"), "the end of the text"},
           {File("\xEF\xBB\xBF{}"), "JSON value"},
           {File("{\"\xFF\":{}}"), "UTF-8"},
           {File("[]"), "an object"},
           {File(R"({"a":)" + f32 + R"(,"a":)" + f32 + "}", 4), "for the second time"},
           {File(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
            "dtype for the second time"},
           {File(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4), "dtype, shape"},
           {File(Two(f32, Entry("F32", "[1]", "[8,12]")), 12), "begins at offset 8"},
           {File(One("F32", "[1]", "[4,8]"), 8), "begins at offset 4"},
           {File(Two(f32, f32), 4), "begins at offset 0"},
           {File(Two(Entry("F32", "[2]", "[0,8]"), Entry("F32", "[1]", "[4,8]")), 8), "offset 4"},
           {File(One("F32", "[1]", "[0,4]"), 5), "1 bytes behind"},
           {File(One("F32", "[1]", "[0,4]"), 3), "up to offset 4"},
           {File(One("F32", "[1]", "[4,0]"), 4), "[4, 0]"},
           {File(One("F32", "[1]", "[-4,0]"), 4), "\"-4\""},
           {File(One("F32", "[1]", "[0.0,4.0]"), 4), "\"0.0\""},
           {File(One("F32", "[1e0]", "[0,4]"), 4), "\"1e0\""},
           {File(One("F32", "[" + kTwo64 + "]", "[0,4]"), 4), kTwo64},
           {File(One("F32", "[1]", "[0,4,4]"), 4), "third offset"},
           {File(One("F32", "[1]", "[0]"), 4), "1 offsets"},
           {File(One("F32", "[2]", "[0,4]"), 4), "expected 8"},
           {File(One("F32", "[" + kTwo63 + "," + kTwo63 + "]", "[0,4]"), 4), "2^64"},
           {File(One("F32", "[4294967296,4294967296]", "[0,0]")), "2^64"},
           {File(One("F32", "[" + kTwo63 + ",4,0]", "[0,0]")), "2^64"},
           {File(One("F128", "[1]", "[0,16]"), 16), "F128"},
           {File(One("f32", "[1]", "[0,4]"), 4), "f32"},
           {File(One("I4", "[2]", "[0,1]"), 1), "I4"},
           {File(One("F4", "[3]", "[0,2]"), 2), "whole bytes"},
           {File(R"({"__metadata__":{"x":1}})"), "a string"},
           {File(R"({"__metadata__":{"x":{"y":"z"}}})"), "a string"},
           {File(R"({"__metadata__":null,"__metadata__":null})"), "second time"},
           {File(R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}"),
            "an object"},
           {File(R"({"a":{"x":)" + std::string(100000, '[') + std::string(100000, ']') + "}}"),
            "deep"},
           {File(R"({"a":NaN})"), "JSON value"},
           {File("{/*x*/}"), "a JSON value"},
           {File(R"({"\ud800":)" + Entry("U8", "[1]", "[0,1]") + "}", 1), "surrogates"},
           {File(R"({"\x":)" + Entry("U8", "[1]", "[0,1]") + "}", 1), "escape"},
           {File("{\"a\nb\":" + f32 + "}", 4), "control"},
           {File(R"({"a":)" + f32 + ",}", 4), "a JSON value"},
           {File(R"({"a":)" + f32 + "]", 4), "\"}\""},
           {File(R"({"a" )" + f32 + "}", 4), "\":\""},
           {File(One("F32", "[01]", "[0,4]"), 4), "leading 0"},
       }) {
    EXPECT_THAT(Refusal(bad.file), HasSubstr(bad.says)) << bad.file.substr(0, 200);
  }
}

TEST(Safetensors, RefusesEveryBeginningOfAFile) {
  const std::string file = File(R"({"__metadata__":{"k":"v"},"a":)" + Entry("F32", "[2]", "[0,8]") +
                                    R"(,"b":)" + Entry("U8", "[3]", "[8,11]") + "}",
                                11);
  EXPECT_EQ(Refusal(file), "");
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(Refusal(file.substr(0, size)), "") << size;
  }
}

TEST(Safetensors, ReadsAHeaderOf100MegabytesInLessThanASecond) {
  std::string header = "{";
  uint64_t count = 0;
  for (uint64_t& i = count; header.size() < Safetensors::kMostHeaderBytes - 200; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::string("model.layers.") + std::to_string(i) +
              ".mlp.up_proj.weight\":" +
              Entry("U8", "[1,1]", "[" + std::to_string(i) + "," + std::to_string(i + 1) + "]");
  }
  header += "}";
  const auto start = std::clock();  // of this process: others may share the machine
  const Safetensors parsed =
      Safetensors::Parse(header, 8 + header.size() + count, "model.safetensors");
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_GT(parsed.tensors().size(), 500'000u);
  RecordProperty("seconds", std::to_string(seconds));
  EXPECT_LT(seconds, 5.0);  // in a release build 1.0
}

}  // namespace
}  // namespace quantspec
