// A tokenizer.model against the sentencepiece library; see make_sentencepiece_golden.py.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/sentencepiece_model.h"
#include "golden/golden_texts.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using Json = nlohmann::json;

class SentencePieceGolden : public testing::Test {
 protected:
  std::vector<Token> Encode(const std::string& text) const {
    return tokenizer_->Encode(text, SpecialTokens::kAsText);
  }

  Json expected_ = Json::parse(golden::ReadFile(golden::Path("sentencepiece/expected.json")));
  std::unique_ptr<Tokenizer> tokenizer_ =
      MakeTokenizer(ReadSentencePieceModel(golden::Path("sentencepiece/tiny.model")));
};

TEST_F(SentencePieceGolden, NastyTextsHaveTheTokensOfTheReference) {
  size_t at = 0;
  for (const std::string& text : golden::ValidNastyTexts()) {
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
  golden::Fnv ids, texts;
  for (const std::string& text : golden::RandomStrings(
           expected_["alphabet"].get_ref<const std::string&>(), expected_["strings"])) {
    const std::vector<Token> tokens = Encode(text);
    ids.Add(tokens);
    texts.Add(tokenizer_->Decode(tokens));
  }
  EXPECT_EQ(ids.Text(), expected_["random_ids"].get<std::string>());
  EXPECT_EQ(texts.Text(), expected_["random_texts"].get<std::string>());
}

}  // namespace
}  // namespace quantspec
