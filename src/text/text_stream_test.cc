#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "quantspec/text.h"

namespace quantspec {
namespace {

// Every byte is a token.
class Bytes : public Tokenizer {
 public:
  int vocab() const override { return 256; }
  std::vector<Token> Encode(std::string_view text, SpecialTokens) const override {
    std::vector<Token> tokens;
    for (const char c : text) tokens.push_back(static_cast<uint8_t>(c));
    return tokens;
  }
  std::string Piece(Token token) const override { return {static_cast<char>(token)}; }
  std::string Decode(std::span<const Token> tokens) const override {
    return {tokens.begin(), tokens.end()};
  }
  bool IsSpecial(Token) const override { return false; }
  bool IsEnd(Token) const override { return false; }
  Token bos() const override { return -1; }
  Token eos() const override { return -1; }
  bool adds_bos() const override { return false; }
};

std::vector<std::string> Stream(const std::string& bytes) {
  const Bytes tokenizer;
  TextStream stream(tokenizer);
  std::vector<std::string> parts;
  for (const Token token : tokenizer.Encode(bytes, SpecialTokens::kAsText)) {
    parts.emplace_back(stream.Push(token));
  }
  parts.emplace_back(stream.Finish());
  return parts;
}

std::string Joined(const std::string& bytes) {
  std::string all;
  for (const std::string& part : Stream(bytes)) all += part;
  return all;
}

TEST(TextStream, HoldsBackACharacterUntilItIsWhole) {
  EXPECT_EQ(Stream("a\xC3\xA9\xF0\x9F\x98\x80"),
            (std::vector<std::string>{"a", "", "\xC3\xA9", "", "", "", "\xF0\x9F\x98\x80", ""}));
}

TEST(TextStream, ValidTextComesOutAsItIs) {
  const std::string text = "na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB";
  EXPECT_EQ(Joined(text), text);
}

TEST(TextStream, InvalidBytesBecomeOneReplacementEachMaximalSubpart) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(Joined("\x80"), mark);
  EXPECT_EQ(Joined("\xC0\xAF"), mark + mark);
  EXPECT_EQ(Joined("\xE2\x82x"), mark + "x");
  EXPECT_EQ(Joined("\xED\xA0\x80"), mark + mark + mark);  // a surrogate
  EXPECT_EQ(Joined("\xF4\x90\x80\x80"), mark + mark + mark + mark);
}

TEST(TextStream, AnUnfinishedCharacterAtTheEndIsReplaced) {
  EXPECT_EQ(Joined("a\xF0\x9F\x98"), "a\xEF\xBF\xBD");
}

}  // namespace
}  // namespace quantspec
