// tokenizer.json files of every family against Hugging Face `tokenizers`; see
// make_hf_tokenizer_golden.py.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/hf_tokenizer.h"
#include "quantspec/text.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

std::string ReadFile(const std::string& name) {
  std::ifstream file(std::string(QS_GOLDEN_DIR) + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const Json& Expected() {
  static const Json expected = Json::parse(ReadFile("hf_tokenizers/expected.json"));
  return expected;
}

std::vector<std::string> NastyTexts() {
  std::vector<std::string> texts;
  for (const Json& entry : Json::parse(ReadFile("nasty.json"))) {
    if (entry.contains("text")) texts.push_back(entry["text"]);
  }
  return texts;
}

// As the script makes them.
std::vector<std::string> RandomStrings() {
  std::vector<std::string> characters;
  const std::string alphabet = Expected()["alphabet"];
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
  std::vector<std::string> strings(Expected()["strings"].get<size_t>());
  for (std::string& text : strings) {
    for (size_t left = 1 + draw(24); left > 0; --left) text += characters[draw(characters.size())];
  }
  return strings;
}

// FNV-1a.
class Fnv {
 public:
  void Add(uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001B3u; }
  std::string Text() const {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value_));
    return text;
  }

 private:
  uint64_t value_ = 0xCBF29CE484222325u;
};

// `text` with broken characters as U+FFFD.
std::string Mended(const std::string& text) {
  std::string mended;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = NextUtf8(std::string_view(text).substr(at));
    mended +=
        step.kind == Utf8Kind::kValid ? text.substr(at, step.bytes) : std::string(kReplacement);
    at += step.bytes;
  }
  return mended;
}

std::string Printable(const std::string& text) {
  return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
}

class HfTokenizerGolden : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    const std::string name = "hf_tokenizers/" + golden()["name"].get<std::string>() + ".json";
    spec_ = ParseHfTokenizer(std::make_shared<const std::string>(ReadFile(name)), name);
    tokenizer_ = MakeTokenizer(spec_);
  }
  const Json& golden() const { return Expected()["cases"][GetParam()]; }

  TokenizerSpec spec_;
  std::unique_ptr<NamingTokenizer> tokenizer_;
};

TEST_P(HfTokenizerGolden, NastyTextsHaveTheTokensOfTheReference) {
  const std::vector<std::string> texts = NastyTexts();
  ASSERT_EQ(texts.size(), golden()["nasty"].size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer_->Encode(texts[i], SpecialTokens::kAsText),
              golden()["nasty"][i].get<std::vector<Token>>())
        << "text " << i << ": " << Printable(texts[i]);
  }
}

TEST_P(HfTokenizerGolden, RandomStringsHaveTheTokensAndTextsOfTheReference) {
  for (const Json& one : golden()["first_random"]) {
    const std::string text = one[0];
    const std::vector<Token> tokens = tokenizer_->Encode(text, SpecialTokens::kAsText);
    EXPECT_EQ(tokens, one[1].get<std::vector<Token>>()) << Printable(text);
    EXPECT_EQ(Printable(Mended(tokenizer_->Decode(tokens))), Printable(one[2]));
  }
  Fnv ids, texts;
  for (const std::string& text : RandomStrings()) {
    const std::vector<Token> tokens = tokenizer_->Encode(text, SpecialTokens::kAsText);
    for (const Token token : tokens) {
      for (int shift = 0; shift < 32; shift += 8) {
        ids.Add(static_cast<uint8_t>(static_cast<uint32_t>(token) >> shift));
      }
    }
    for (const char c : Mended(tokenizer_->Decode(tokens))) texts.Add(static_cast<uint8_t>(c));
  }
  EXPECT_EQ(ids.Text(), golden()["random_ids"].get<std::string>());
  EXPECT_EQ(texts.Text(), golden()["random_texts"].get<std::string>());
}

TEST_P(HfTokenizerGolden, SpecialTokensAreFoundAsTheReferenceFindsThem) {
  for (const Json& one : golden()["parsed"]) {
    const std::string text = one[0];
    const auto expected = one[1].get<std::vector<Token>>();
    EXPECT_EQ(tokenizer_->Encode(text, SpecialTokens::kParse), expected) << Printable(text);
    EXPECT_EQ(tokenizer_->EncodeNamed(text, [](size_t, size_t) { return true; }), expected);
    EXPECT_EQ(tokenizer_->EncodeNamed(text, [](size_t, size_t) { return false; }),
              tokenizer_->Encode(text, SpecialTokens::kAsText));
  }
  const auto bos = golden()["bos"].get<std::vector<Token>>();
  EXPECT_EQ(tokenizer_->adds_bos(), !bos.empty());
  if (!bos.empty()) {
    EXPECT_EQ(tokenizer_->bos(), bos[0]);
  }
}

// What GGUF files name, tokenizer.json spells out.
TEST_P(HfTokenizerGolden, RulesWithANameAreThoseThatAreSpeltOut) {
  const std::pair<const char*, const char*> names[] = {
      {"gpt2", "gpt-2"},   {"smollm2", "smollm"},       {"llama3", "llama-bpe"},
      {"qwen2", "qwen2"},  {"qwen3.5", "qwen35"},       {"tekken", "tekken"},
      {"o200k", "gpt-4o"}, {"deepseek3", "deepseek-v3"}};
  TokenizerSpec spec = spec_;
  for (const auto& [file, rules] : names) {
    if (golden()["name"] == file) spec.pre_tokenizer = rules;
  }
  if (spec.pre_tokenizer.empty()) GTEST_SKIP() << "no name for these rules";
  spec.words.reset();
  const auto named = MakeTokenizer(spec);
  std::vector<std::string> texts = NastyTexts();
  for (const std::string& text : RandomStrings()) texts.push_back(text);
  for (const std::string& text : texts) {
    EXPECT_EQ(named->Encode(text, SpecialTokens::kAsText),
              tokenizer_->Encode(text, SpecialTokens::kAsText))
        << Printable(text);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, HfTokenizerGolden,
                         testing::Range(size_t{0}, Expected()["cases"].size()),
                         [](const auto& parameter) {
                           std::string name = Expected()["cases"][parameter.param]["name"];
                           std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
                           return name;
                         });

}  // namespace
}  // namespace quantspec
