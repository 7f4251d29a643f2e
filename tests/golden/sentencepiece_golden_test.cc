// A tokenizer.model against the sentencepiece library; see make_sentencepiece_golden.py.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/sentencepiece_model.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

std::string Golden(const std::string& name) { return std::string(QS_GOLDEN_DIR) + "/" + name; }

Json ReadJson(const std::string& name) {
  std::ifstream file(Golden(name), std::ios::binary);
  return Json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

class SentencePieceGolden : public testing::Test {
 protected:
  std::vector<Token> Encode(const std::string& text) const {
    return tokenizer_->Encode(text, SpecialTokens::kAsText);
  }

  Json expected_ = ReadJson("sentencepiece/expected.json");
  std::unique_ptr<Tokenizer> tokenizer_ =
      MakeTokenizer(ReadSentencePieceModel(Golden("sentencepiece/tiny.model")));
};

TEST_F(SentencePieceGolden, NastyTextsHaveTheTokensOfTheReference) {
  size_t at = 0;
  for (const Json& entry : ReadJson("nasty.json")) {
    if (!entry.contains("text")) continue;
    const std::string text = entry["text"];
    EXPECT_EQ(Encode(text), expected_["nasty"].at(at++).get<std::vector<Token>>()) << text;
  }
  EXPECT_EQ(at, expected_["nasty"].size());
}

TEST_F(SentencePieceGolden, RandomStringsHaveTheTokensAndTextsOfTheReference) {
  for (const Json& one : expected_["first_random"]) {
    const std::vector<Token> tokens = Encode(one[0]);
    EXPECT_EQ(tokens, one[1].get<std::vector<Token>>()) << one[0];
    EXPECT_EQ(tokenizer_->Decode(tokens), one[2].get<std::string>());
  }
  std::vector<std::string> characters;
  const std::string alphabet = expected_["alphabet"];
  for (size_t at = 0; at < alphabet.size();) {
    const size_t bytes = NextUtf8(std::string_view(alphabet).substr(at)).bytes;
    characters.push_back(alphabet.substr(at, bytes));
    at += bytes;
  }
  uint32_t state = 1;
  const auto draw = [&](size_t count) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % count;
  };
  uint64_t ids = 0xCBF29CE484222325u, texts = ids;  // FNV-1a
  const auto add = [](uint64_t& value, uint8_t byte) { value = (value ^ byte) * 0x100000001B3u; };
  for (size_t i = expected_["strings"].get<size_t>(); i > 0; --i) {
    std::string text;
    for (size_t left = 1 + draw(24); left > 0; --left) text += characters[draw(characters.size())];
    const std::vector<Token> tokens = Encode(text);
    for (const Token token : tokens) {
      for (int shift = 0; shift < 32; shift += 8) {
        add(ids, static_cast<uint8_t>(static_cast<uint32_t>(token) >> shift));
      }
    }
    for (const char c : tokenizer_->Decode(tokens)) add(texts, static_cast<uint8_t>(c));
  }
  const auto hex = [](uint64_t value) {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
    return std::string(text);
  };
  EXPECT_EQ(hex(ids), expected_["random_ids"].get<std::string>());
  EXPECT_EQ(hex(texts), expected_["random_texts"].get<std::string>());
}

}  // namespace
}  // namespace quantspec
