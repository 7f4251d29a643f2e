#include "io/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <limits>

#include "io/gguf_file.h"
#include "io/gguf_test_file.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kF32 = 0, kQ4_1 = 3;
constexpr std::string_view kNotText("\xFF\0z", 3);

bool TestTypeSize(uint32_t type, int64_t* values, int64_t* bytes) {
  *values = type == kQ4_1 ? 32 : 1;
  *bytes = type == kQ4_1 ? 20 : 4;
  return type == kF32 || type == kQ4_1;
}

template <typename T>
std::string Bytes(T value) {
  return GgufTestFile::Bytes(value);
}

// Every value type, four kinds of arrays, two tensors.
GgufTestFile SmallFile(uint32_t version = 3) {
  GgufTestFile file(version);
  file.Entry("u8", 0, Bytes(uint8_t{255})).Entry("i8", 1, Bytes(int8_t{-1}));
  file.Entry("u16", 2, Bytes(uint16_t{65535})).Entry("i16", 3, Bytes(int16_t{-2}));
  file.Entry("u32", 4, Bytes(uint32_t{4294967295u})).Entry("i32", 5, Bytes(int32_t{-3}));
  file.Entry("f32", 6, Bytes(0.5f)).Entry("bool", 7, Bytes(uint8_t{1}));
  file.Entry("text", 8, GgufTestFile::Text("a text"));
  file.Entry("u64", 10, Bytes(std::numeric_limits<uint64_t>::max()));
  file.Entry("i64", 11, Bytes(int64_t{-4})).Entry("f64", 12, Bytes(0.25));
  file.Array("texts", 8, 3,
             GgufTestFile::Text("a") + GgufTestFile::Text("") + GgufTestFile::Text(kNotText));
  file.Array("numbers", 6, 2, Bytes(1.5f) + Bytes(-2.5f));
  file.Array("integers", 5, 2, Bytes(int32_t{-7}) + Bytes(int32_t{8}));
  file.Array("bools", 7, 2, std::string("\1\0", 2)).Array("none", 4, 0, "");
  file.Tensor("embedding", {32, 3}, kQ4_1, std::string(60, '\1'));
  return file.Tensor("norm", {5}, kF32, std::string(20, '\2'));
}

// The text of the error that parsing throws, "" if it throws none.
std::string Refusal(std::string_view file, ErrorKind* kind = nullptr) {
  const ExactBytes bytes(file);
  try {
    Gguf::Parse(bytes.span(), "model.gguf", TestTypeSize);
  } catch (const Error& error) {
    if (kind != nullptr) *kind = error.kind();
    return error.what();
  }
  return "";
}
std::string Refusal(const GgufTestFile& file) { return Refusal(file.Finish()); }

TEST(Gguf, BothVersionsGiveEveryValueAndTensor) {
  for (const uint32_t version : {2u, 3u}) {
    const std::string bytes = SmallFile(version).Finish();
    const Gguf file = Gguf::Parse(std::as_bytes(std::span(bytes)), "small", TestTypeSize);
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(file.entries().size(), 17u);
    EXPECT_EQ(file.Integer("u8"), 255);
    EXPECT_EQ(file.Integer("i8"), -1);
    EXPECT_EQ(file.Integer("u16"), 65535);
    EXPECT_EQ(file.Integer("i16"), -2);
    EXPECT_EQ(file.Integer("u32"), 4294967295);
    EXPECT_EQ(file.Integer("i32"), -3);
    EXPECT_EQ(file.Integer("i64"), -4);
    EXPECT_EQ(file.Number("f32"), 0.5);
    EXPECT_EQ(file.Number("f64"), 0.25);
    EXPECT_EQ(file.Number("u8"), 255.0);
    EXPECT_EQ(file.Bool("bool"), true);
    EXPECT_EQ(file.String("text"), "a text");
    EXPECT_EQ(std::get<uint64_t>(*file.Find("u64")), std::numeric_limits<uint64_t>::max());
    EXPECT_THAT(file.Array("texts")->strings, ElementsAre("a", "", kNotText));
    EXPECT_THAT(file.Array("numbers")->numbers, ElementsAre(1.5, -2.5));
    EXPECT_THAT(file.Array("integers")->integers, ElementsAre(-7, 8));
    EXPECT_THAT(file.Array("bools")->integers, ElementsAre(1, 0));
    EXPECT_EQ(file.Array("none")->size(), 0u);
    ASSERT_EQ(file.tensors().size(), 2u);
    const GgufTensor& embedding = *file.FindTensor("embedding");
    EXPECT_EQ(&embedding, &file.tensors()[0]);
    EXPECT_THAT(embedding.shape, ElementsAre(3, 32));
    EXPECT_EQ(embedding.type, kQ4_1);
    EXPECT_EQ(bytes.substr(embedding.offset, embedding.bytes), std::string(60, '\1'));
    const GgufTensor& norm = *file.FindTensor("norm");
    EXPECT_EQ(bytes.substr(norm.offset, norm.bytes), std::string(20, '\2'));
  }
}

TEST(Gguf, AbsentKeysAndTensorsAreNotErrors) {
  const std::string bytes = SmallFile().Finish();
  const Gguf file = Gguf::Parse(std::as_bytes(std::span(bytes)), "small", TestTypeSize);
  for (const char* name : {"", "a", "u9", "zzz"}) {
    EXPECT_EQ(file.Find(name), nullptr);
    EXPECT_EQ(file.FindTensor(name), nullptr);
    EXPECT_EQ(file.Integer(name), std::nullopt);
    EXPECT_EQ(file.Number(name), std::nullopt);
    EXPECT_EQ(file.Bool(name), std::nullopt);
    EXPECT_EQ(file.String(name), std::nullopt);
    EXPECT_EQ(file.Array(name), nullptr);
  }
}

template <typename Access>
std::string WrongType(Access access) {
  const std::string bytes = SmallFile().Finish();
  const Gguf file = Gguf::Parse(std::as_bytes(std::span(bytes)), "model.gguf", TestTypeSize);
  try {
    access(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    return error.what();
  }
  return "";
}

TEST(Gguf, WrongTypesAreNamedWithWhatWasFound) {
  EXPECT_THAT(
      WrongType([](const Gguf& file) { file.Integer("text"); }),
      HasSubstr("model.gguf: metadata text: found the text \"a text\", expected an integer"));
  EXPECT_THAT(WrongType([](const Gguf& file) { file.Integer("u64"); }),
              HasSubstr("found the integer 18446744073709551615, expected an integer of at most"));
  EXPECT_THAT(WrongType([](const Gguf& file) { file.Integer("f32"); }),
              HasSubstr("found the number 0.5"));
  EXPECT_THAT(WrongType([](const Gguf& file) { file.Number("bool"); }),
              HasSubstr("found the bool true, expected a number"));
  EXPECT_THAT(WrongType([](const Gguf& file) { file.Bool("u8"); }),
              HasSubstr("found the integer 255, expected a bool"));
  EXPECT_THAT(WrongType([](const Gguf& file) { file.String("texts"); }),
              HasSubstr("found an array of 3 elements, expected a text"));
  EXPECT_THAT(WrongType([](const Gguf& file) { file.Array("text"); }),
              HasSubstr("expected an array"));
}

TEST(Gguf, OtherFilesAndVersionsAreRefusedWithAReason) {
  ErrorKind kind{};
  EXPECT_THAT(Refusal("", &kind), HasSubstr("found 0 bytes up to the end of the file"));
  EXPECT_EQ(kind, ErrorKind::kCorrupt);
  EXPECT_THAT(Refusal("PK\3\4 and so on", &kind),
              HasSubstr("model.gguf: header, magic at byte 0: found \"PK\\x03\\x04\", expected "
                        "\"GGUF\""));
  EXPECT_EQ(kind, ErrorKind::kCorrupt);
  for (const uint32_t version : {0u, 1u, 4u, 1000u}) {
    EXPECT_THAT(Refusal(GgufTestFile(version).Finish(), &kind),
                HasSubstr("version at byte 4: found " + std::to_string(version)));
    EXPECT_EQ(kind, ErrorKind::kUnsupported);
  }
  EXPECT_THAT(Refusal(GgufTestFile(0x03000000).Finish(), &kind), HasSubstr("big-endian"));
  EXPECT_EQ(kind, ErrorKind::kUnsupported);
}

TEST(Gguf, AlignmentMovesTheData) {
  for (const uint32_t alignment : {8u, 64u, 4096u}) {
    GgufTestFile file;
    file.Alignment(alignment).Tensor("a", {1}, kF32, "aaaa").Tensor("b", {1}, kF32, "bbbb");
    const std::string bytes = file.Finish();
    const Gguf gguf = Gguf::Parse(std::as_bytes(std::span(bytes)), "aligned", TestTypeSize);
    EXPECT_EQ(bytes.substr(gguf.FindTensor("b")->offset, 4), "bbbb");
  }
  for (const uint32_t alignment : {0u, 1u, 24u, 131072u}) {
    EXPECT_THAT(Refusal(GgufTestFile().Entry("general.alignment", 4, Bytes(alignment))),
                HasSubstr("metadata general.alignment: found " + std::to_string(alignment)));
  }
  EXPECT_THAT(Refusal(GgufTestFile().Entry("general.alignment", 8, GgufTestFile::Text("x"))),
              HasSubstr("metadata general.alignment: found the text"));
}

TEST(Gguf, ContradictionsInMetadataAreNamed) {
  const std::string one = Bytes(uint8_t{1});
  EXPECT_THAT(Refusal(GgufTestFile().Entry("k", 0, one).Entry("l", 0, one).Entry("k", 0, one)),
              HasSubstr("metadata k: found it twice, expected it once"));
  EXPECT_THAT(Refusal(GgufTestFile().Entry("", 0, one)),
              HasSubstr("metadata, key at byte 24: found an empty text"));
  EXPECT_THAT(Refusal(GgufTestFile().Entry("k", 13, one)),
              HasSubstr("metadata k, value type at byte 33: found 13, expected 0 to 12"));
  EXPECT_THAT(Refusal(GgufTestFile().Entry("k", 7, Bytes(uint8_t{2}))),
              HasSubstr("metadata k, bool at byte 37: found 2, expected 0 or 1"));
  EXPECT_THAT(Refusal(GgufTestFile().Array("k", 7, 2, std::string("\1\2", 2))),
              HasSubstr("bool at byte 50: found 2"));
  EXPECT_THAT(Refusal(GgufTestFile().Array("k", 10, 1, Bytes(~uint64_t{0}))),
              HasSubstr("found 18446744073709551615, expected at most 2^63 - 1"));
  EXPECT_THAT(Refusal(GgufTestFile().Array("k", 9, 1, std::string(32, '\0'))),
              HasSubstr("found an array of arrays, expected numbers, bools or texts"));
  EXPECT_THAT(Refusal(GgufTestFile().Array("k", 14, 1, one)), HasSubstr("element type"));
}

TEST(Gguf, ContradictionsInTensorsAreNamed) {
  const std::string data(64, '\0');
  GgufTestFile twice;
  twice.Tensor("a", {1}, kF32, data).Tensor("b", {1}, kF32, data).Tensor("a", {1}, kF32, data);
  EXPECT_THAT(Refusal(twice), HasSubstr("tensor a: found it twice"));
  EXPECT_THAT(Refusal(GgufTestFile().Tensor("", {1}, kF32, data)), HasSubstr("an empty text"));
  EXPECT_THAT(Refusal(GgufTestFile().Tensor("a", {}, kF32, data)),
              HasSubstr("tensor a, dimensions at byte 33: found 0, expected 1 to 4"));
  EXPECT_THAT(Refusal(GgufTestFile().Tensor("a", {1, 1, 1, 1, 1}, kF32, data)),
              HasSubstr("found 5, expected 1 to 4"));
  EXPECT_THAT(Refusal(GgufTestFile().Tensor("a", {4, 0}, kF32, data)),
              HasSubstr("extent at byte 45: found 0, expected at least 1"));
  EXPECT_THAT(Refusal(GgufTestFile().Tensor("a", {1}, 77, data)),
              HasSubstr("tensor a, type at byte 45: found number 77, expected a type"));
  EXPECT_THAT(Refusal(GgufTestFile().Tensor("a", {33}, kQ4_1, data)),
              HasSubstr("rows of 33 values, expected a multiple of 32"));
  EXPECT_THAT(Refusal(GgufTestFile().TensorAt("a", {1}, kF32, 4)),
              HasSubstr("tensor a: found offset 4, expected a multiple of the alignment, 32"));
  EXPECT_THAT(Refusal(GgufTestFile().Tensor("a", {17}, kF32, data)),
              HasSubstr("tensor a: found 68 bytes at offset 0, expected them inside"));
  EXPECT_THAT(Refusal(GgufTestFile().TensorAt("a", {1}, kF32, ~uint64_t{31})),
              HasSubstr("at offset 18446744073709551584"));
}

TEST(Gguf, SizesThatOverflowAreRefused) {
  const uint64_t huge = uint64_t{1} << 62;
  for (const std::vector<uint64_t>& shape : std::vector<std::vector<uint64_t>>{
           {huge + 1}, {~uint64_t{0}}, {uint64_t{1} << 32, uint64_t{1} << 31}, {huge, 4, 4, 4}}) {
    EXPECT_THAT(Refusal(GgufTestFile().TensorAt("a", shape, kF32, 0)),
                HasSubstr("at most 2^62 values in all"));
  }
  EXPECT_THAT(Refusal(GgufTestFile().TensorAt("a", {huge}, kF32, 0)),
              HasSubstr("what fits into a file"));
  EXPECT_THAT(Refusal(GgufTestFile().TensorAt("a", {huge}, kQ4_1, 0)), HasSubstr("at offset 0"));
}

TEST(Gguf, NamesFromFilesCannotFloodOrForgeMessages) {
  const std::string text = Refusal(GgufTestFile().Entry(std::string(100000, '\n'), 99, ""));
  EXPECT_LT(text.size(), 600u);
  EXPECT_THAT(text, HasSubstr("\\x0A\\x0A"));
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

// What parsing and a look at everything does with a file: it returns or throws an Error.
void ParseAndLook(std::string_view file) {
  const ExactBytes bytes(file);
  try {
    const Gguf gguf = Gguf::Parse(bytes.span(), "model.gguf", TestTypeSize);
    unsigned sum = 0;
    for (const GgufTensor& tensor : gguf.tensors()) {
      ASSERT_LE(tensor.bytes, file.size());
      for (const std::byte byte : bytes.span().subspan(tensor.offset, tensor.bytes)) {
        sum += static_cast<unsigned>(byte);
      }
    }
    for (const Gguf::Entry& entry : gguf.entries()) {
      ASSERT_EQ(gguf.Find(entry.key), &entry.value);
      if (const auto* array = std::get_if<GgufArray>(&entry.value)) {
        for (const std::string_view text : array->strings) {
          for (const char c : text) sum += static_cast<unsigned char>(c);
        }
      }
    }
    ASSERT_LT(sum, 1u << 30);
  } catch (const Error& error) {
    ASSERT_THAT(error.what(), HasSubstr("model.gguf: "));
    ASSERT_THAT(error.what(), HasSubstr(", expected "));
  }
}

TEST(Gguf, EveryPrefixOfAFileIsRefused) {
  for (const uint32_t version : {2u, 3u}) {
    const std::string whole = SmallFile(version).Finish();
    // The padding after the last tensor belongs to no tensor.
    const size_t needed = whole.size() - 12;
    for (size_t size = 0; size < needed; ++size) {
      ASSERT_NE(Refusal(std::string_view(whole).substr(0, size)), "") << size;
    }
    EXPECT_EQ(Refusal(std::string_view(whole).substr(0, needed)), "");
  }
}

TEST(Gguf, EveryFlippedBitGivesAFileOrAnError) {
  std::string file = SmallFile().Finish();
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8);
    ASSERT_NO_FATAL_FAILURE(ParseAndLook(file)) << "bit " << bit;
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8);
  }
}

TEST(Gguf, EveryFieldTakesAbsurdNumbersWithoutHarm) {
  const std::string whole = SmallFile().HeaderAndTables();
  for (size_t at = 4; at + 8 <= whole.size(); ++at) {
    for (const uint64_t number : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 60,
                                  uint64_t{0x7FFFFFFF}, uint64_t{0xFFFFFFFF}, uint64_t{0}}) {
      std::string file = whole;
      std::memcpy(file.data() + at, &number, 8);
      ASSERT_NO_FATAL_FAILURE(ParseAndLook(file)) << "byte " << at;
    }
  }
}

TEST(Gguf, TheDemoModelIsReadInMilliseconds) {
  const char* path = std::getenv("QUANTSPEC_TEST_MODEL");
  if (path == nullptr) GTEST_SKIP() << "QUANTSPEC_TEST_MODEL names no model file";
  const auto sizes = [](uint32_t type, int64_t* values, int64_t* bytes) {
    *values = type >= 2 ? 32 : 1;
    *bytes = 1;  // whatever they are: data is not looked at
    return true;
  };
  using Clock = std::chrono::steady_clock;
  double best_ms = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = Clock::now();
    const GgufFile opened = OpenGguf(path, sizes);
    const Gguf& file = opened.gguf;
    best_ms =
        std::min(best_ms, std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    EXPECT_GT(file.tensors().size(), 10u);
    EXPECT_NE(file.String("general.architecture"), std::nullopt);
    EXPECT_GT(file.Array("tokenizer.ggml.tokens")->strings.size(), 1000u);
  }
  RecordProperty("milliseconds", std::to_string(best_ms));
  EXPECT_LT(best_ms, 500) << "sanitizers included";
}

}  // namespace
}  // namespace quantspec
