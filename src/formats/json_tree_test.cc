#include "formats/json_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace quantspec {
namespace {

using testing::HasSubstr;

JsonTree Parse(const std::string& text) {
  JsonReader in(text, "x.json");
  JsonTree tree = ReadJsonTree(in);
  in.Finish();
  return tree;
}

std::string Refusal(const std::string& text) {
  try {
    Parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    return error.what();
  }
  ADD_FAILURE() << "not refused: " << text;
  return "";
}

TEST(JsonTree, IsWhatTheTextSays) {
  const std::string text =
      R"({"z":[1,-2,1.5,true,false,null,"a\u00e4\ud83d\ude00\n"],"a":{"b":{}},"":[]})";
  EXPECT_EQ(Parse(text), JsonTree::parse(text));
  EXPECT_EQ(Parse(text).begin().key(), "z");  // in the order of the text
}

TEST(JsonTree, RefusesWhatIsNoJson) {
  EXPECT_THAT(Refusal(R"({"a":1,"b":2,"a":3})"), HasSubstr("byte 17: found key \"a\" again"));
  EXPECT_THAT(Refusal("1e999"), HasSubstr("64 bits"));
  EXPECT_THAT(Refusal(std::string(200, '[')), HasSubstr("at most 128"));
  for (const char* text : {"", "nul", "[1,]", "{\"a\":}", "[1 2]", "\"a", "-", "1.", "01", "+1",
                           "'a'", "[1]]", "\"\\ud800\"", "\"\t\""}) {
    EXPECT_THAT(Refusal(text), HasSubstr("x.json: byte ")) << text;
  }
}

TEST(JsonTree, ManyKeysTakeLittleTime) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  EXPECT_EQ(Parse(text + "}").size(), 200000u);
}

TEST(JsonFields, NamesWhatIsWrong) {
  const JsonTree tree = Parse(R"({"whole":4096.0,"text":"x","none":null,"big":1e30})");
  const JsonFields fields(tree, "config.json");
  EXPECT_EQ(fields.Whole("whole", 0, 5000), 4096);
  EXPECT_EQ(fields.Whole("none", 0, 1), std::nullopt);
  EXPECT_TRUE(fields.Has("none"));
  const auto refused = [&](auto read) {
    try {
      read();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refused([&] { fields.Whole("whole", 0, 100); }),
              HasSubstr("config.json: whole: found 4096, expected 0 to 100"));
  EXPECT_THAT(refused([&] { fields.Whole("text", 0, 1); }), HasSubstr("a whole number"));
  EXPECT_THAT(refused([&] { fields.Whole("big", 0, 1); }), HasSubstr("a whole number"));
  EXPECT_THAT(refused([&] { fields.Bool("text", false); }), HasSubstr("true or false"));
}

}  // namespace
}  // namespace quantspec
