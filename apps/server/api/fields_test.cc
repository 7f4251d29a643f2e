#include "server/api/fields.h"

#include <gtest/gtest.h>

#include <chrono>

namespace quantspec::server {
namespace {

// The error of a call, or one with an empty message.
template <typename Call>
ApiError ErrorFrom(Call call) {
  try {
    call();
  } catch (const ApiFailure& failure) {
    return failure.error;
  }
  ApiError none;
  none.status = 0;
  return none;
}

TEST(ParseObject, TakesObjectsOnly) {
  EXPECT_EQ(ParseObject(R"({"a": 1})")["a"], 1);
  for (const char* body : {"", "{", "[1]", "7", "\"x\"", "{\"a\": 1} x", "{\"a\": \"\xff\"}"}) {
    EXPECT_EQ(ErrorFrom([&] { ParseObject(body); }).status, 400) << body;
  }
}

TEST(ParseObject, RefusesDeepJsonAtOnce) {
  const std::string deep = std::string(100000, '[');
  const auto start = std::chrono::steady_clock::now();
  EXPECT_NE(ErrorFrom([&] { ParseObject("{\"a\":" + deep); }).message.find("deeper"),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(ErrorFrom([] {
              ParseObject("{\"a\":" + std::string(kMostJsonDepth - 1, '[') +
                          std::string(kMostJsonDepth - 1, ']') + "}");
            }).status,
            0);
}

TEST(ParseObject, CountsNothingInsideTexts) {
  EXPECT_EQ(ParseObject("{\"a\": \"" + std::string(1000, '[') + "\\\"" + std::string(1000, '{') +
                        "\"}")["a"]
                .get<std::string>()
                .size(),
            2001u);
}

TEST(ParseObject, LimitsFieldsAndValues) {
  std::string body = "{";
  for (int i = 0; i <= kMostJsonKeys; ++i) body += "\"" + std::to_string(i) + "\":1,";
  EXPECT_NE(ErrorFrom([&] { ParseObject(body + "\"x\":1}"); }).message.find("fields"),
            std::string::npos);
  std::string list = "{\"a\":[1";
  for (int i = 0; i <= kMostJsonValues; ++i) list += ",1";
  EXPECT_NE(ErrorFrom([&] { ParseObject(list + "]}"); }).message.find("values"), std::string::npos);
}

TEST(ParseObject, QuotesLittleOfTheRequest) {
  const ApiError error = ErrorFrom([] { ParseObject("{\"a\": \"" + std::string(100000, 'x')); });
  EXPECT_EQ(error.status, 400);
  EXPECT_LT(error.message.size(), 400u);
}

TEST(Fields, CheckTypesAndRanges) {
  const Json json = ParseObject(
      R"({"n": 3, "x": 0.5, "whole": 4.0, "flag": true, "t": "a", "list": ["a", "b"],
          "none": null, "object": {}})");
  const Fields fields(json);
  EXPECT_EQ(fields.Integer("n", 1, 0, 5), 3);
  EXPECT_EQ(fields.Integer("whole", 1, 0, 5), 4);
  EXPECT_EQ(fields.Integer("none", 7, 0, 5), 7);
  EXPECT_EQ(fields.Integer("absent", 7, 0, 5), 7);
  EXPECT_DOUBLE_EQ(fields.Number("x", 0, 0, 1), 0.5);
  EXPECT_TRUE(fields.Flag("flag", false));
  EXPECT_EQ(fields.Text("t"), "a");
  EXPECT_EQ(fields.Texts("list", 2), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(fields.Texts("t", 2), std::vector<std::string>{"a"});
  EXPECT_NE(fields.Object("object"), nullptr);

  EXPECT_EQ(ErrorFrom([&] { fields.Integer("n", 1, 4, 5); }).param, "n");
  EXPECT_EQ(ErrorFrom([&] { fields.Integer("x", 1, 0, 5); }).param, "x");
  EXPECT_EQ(ErrorFrom([&] { fields.Integer("t", 1, 0, 5); }).param, "t");
  EXPECT_EQ(ErrorFrom([&] { fields.Number("flag", 1, 0, 5); }).param, "flag");
  EXPECT_EQ(ErrorFrom([&] { fields.Flag("n", true); }).param, "n");
  EXPECT_EQ(ErrorFrom([&] { fields.Text("n"); }).param, "n");
  EXPECT_EQ(ErrorFrom([&] { fields.Texts("list", 1); }).param, "list");
  EXPECT_EQ(ErrorFrom([&] { fields.Object("n"); }).param, "n");
}

TEST(Fields, RefuseNumbersBeyondAnyInteger) {
  const Json json = ParseObject(R"({"big": 1e300, "huge": 18446744073709551615, "low": -1e300})");
  for (const char* name : {"big", "huge", "low"}) {
    EXPECT_EQ(ErrorFrom([&] { Fields(json).Integer(name, 0, 0, 100); }).param, name);
  }
}

TEST(Errors, HaveTheShapeThatClientsKnow) {
  const Json json = Json::parse(ErrorText(ContextOverflow(5000, 4096)));
  EXPECT_EQ(json["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(json["error"]["type"], "invalid_request_error");
  EXPECT_EQ(json["error"]["n_prompt_tokens"], 5000);
  EXPECT_EQ(json["error"]["n_ctx"], 4096);
  EXPECT_EQ(json["error"]["message"].get<std::string>().rfind(
                "This model's maximum context length is 4096 tokens", 0),
            0u);
  const HttpResponse busy = ErrorResponse(ErrorOf(ErrorKind::kBusy, "full"));
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.headers.front().first, "Retry-After");
  EXPECT_EQ(Json::parse(busy.body)["error"]["code"], "queue_full");
}

TEST(WholeNumbers, AreThoseThatFit) {
  const auto whole = [](const char* text) { return WholeNumber(Json::parse(text)); };
  EXPECT_EQ(whole("16"), 16);
  EXPECT_EQ(whole("16.0"), 16);
  EXPECT_EQ(whole("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(whole("-9223372036854775808.0"), INT64_MIN);
  EXPECT_EQ(whole("9223372036854775807"), INT64_MAX);
  for (const char* text : {"9223372036854775808", "9223372036854775808.0", "1e300", "-1e300", "0.5",
                           "\"1\"", "null", "[]", "true"}) {
    EXPECT_FALSE(whole(text)) << text;
  }
}

}  // namespace
}  // namespace quantspec::server
