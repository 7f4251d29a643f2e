// tokenizer.json files of every family against Hugging Face `tokenizers`; see
// make_hf_tokenizer_golden.py.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/hf_tokenizer.h"
#include "golden/golden_texts.h"
#include "quantspec/text.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

const Json& Expected() {
  static const Json expected =
      Json::parse(golden::ReadFile(golden::Path("hf_tokenizers/expected.json")));
  return expected;
}

std::vector<std::string> RandomStrings() {
  return golden::RandomStrings(Expected()["alphabet"].get_ref<const std::string&>(),
                               Expected()["strings"]);
}

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
    spec_ = ParseHfTokenizer(
        std::make_shared<const std::string>(golden::ReadFile(golden::Path(name))), name);
    tokenizer_ = MakeTokenizer(spec_);
  }
  const Json& golden() const { return Expected()["cases"][GetParam()]; }

  TokenizerSpec spec_;
  std::unique_ptr<NamingTokenizer> tokenizer_;
};

TEST_P(HfTokenizerGolden, NastyTextsHaveTheTokensOfTheReference) {
  const std::vector<std::string> texts = golden::ValidNastyTexts();
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
  golden::Fnv ids, texts;
  for (const std::string& text : RandomStrings()) {
    const std::vector<Token> tokens = tokenizer_->Encode(text, SpecialTokens::kAsText);
    ids.Add(tokens);
    texts.Add(Mended(tokenizer_->Decode(tokens)));
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
  std::vector<std::string> texts = golden::ValidNastyTexts();
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
