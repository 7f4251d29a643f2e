#include "formats/sentencepiece_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <vector>

#include "formats/hf_added_tokens.h"
#include "quantspec/error.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string Whole(int field, uint64_t value) {
  return Varint(static_cast<uint64_t>(field) << 3) + Varint(value);
}
std::string Bytes(int field, const std::string& value) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(value.size()) + value;
}
std::string Piece(const std::string& text, float score, uint64_t type) {
  const auto bits = std::bit_cast<uint32_t>(score);
  std::string bytes = Bytes(1, text) + Varint(2 << 3 | 5);
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift);
  return Bytes(1, bytes + Whole(3, type));
}

// <unk> <s> </s> and the pieces of "he": space sign 3, h 4, e 5, he 6, sign + he 7, <tool> 8.
const std::string kPieces = Piece("<unk>", 0, 2) + Piece("<s>", 0, 3) + Piece("</s>", 0, 3) +
                            Piece("\u2581", -4, 1) + Piece("h", -5, 1) + Piece("e", -6, 1) +
                            Piece("he", -1, 1) + Piece("\u2581he", -2, 1) + Piece("<tool>", 0, 4);
const std::string kTrainer = Bytes(2, Whole(3, 2));
const std::string kNormalizer = Bytes(3, Bytes(1, "identity") + Whole(4, 0));

TokenizerSpec Parse(const std::string& bytes) {
  return ParseSentencePieceModel(std::make_shared<const std::string>(bytes), "t.model");
}

std::string Refusal(const std::function<void()>& act, ErrorKind kind) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "not refused";
  return "";
}
std::string Refusal(const std::string& bytes, ErrorKind kind = ErrorKind::kUnsupported) {
  return Refusal([&] { MakeTokenizer(Parse(bytes)); }, kind);
}

TEST(SentencePieceModel, GivesPiecesScoresAndIds) {
  const TokenizerSpec spec = Parse(kPieces + kTrainer + kNormalizer);
  EXPECT_EQ(spec.pieces.size(), 9u);
  EXPECT_EQ(spec.scores[6], -1.0f);
  EXPECT_EQ(spec.types[8], TokenType::kUserDefined);
  EXPECT_THAT((std::vector{spec.unknown, spec.bos, spec.eos}), ElementsAre(0, 1, 2));
  const auto tokenizer = MakeTokenizer(spec);
  EXPECT_THAT(tokenizer->Encode("he<tool>h", SpecialTokens::kAsText), ElementsAre(7, 8, 4));
  EXPECT_EQ(tokenizer->Decode(std::vector<Token>{7, 8, 4}), "he<tool>h");
  EXPECT_TRUE(tokenizer->IsEnd(2));
}

TEST(SentencePieceModel, NeighbouringUnknownCharactersAreOneToken) {
  const auto tokenizer = MakeTokenizer(Parse(kPieces + kTrainer + kNormalizer));
  EXPECT_THAT(tokenizer->Encode("xyhzz z", SpecialTokens::kAsText), ElementsAre(3, 0, 4, 0, 3, 0));
}

TEST(SentencePieceModel, TheNormalizerSaysWhetherASpaceGoesInFront) {
  const auto tokenizer =
      MakeTokenizer(Parse(kPieces + kTrainer + Bytes(3, Whole(3, 0) + Whole(4, 0))));
  EXPECT_THAT(tokenizer->Encode("he", SpecialTokens::kAsText), ElementsAre(6));
}

TEST(SentencePieceModel, RefusesOtherKindsByName) {
  EXPECT_THAT(Refusal(kPieces + kNormalizer), HasSubstr("unigram"));
  EXPECT_THAT(Refusal(kPieces + Bytes(2, Whole(3, 1)) + kNormalizer), HasSubstr("unigram"));
  EXPECT_THAT(Refusal(kPieces + Bytes(2, Whole(3, 3)) + kNormalizer), HasSubstr("word"));
  EXPECT_THAT(Refusal(kPieces + kTrainer), HasSubstr("repeated spaces"));
  EXPECT_THAT(
      Refusal(kPieces + kTrainer + Bytes(3, Bytes(1, "nmt_nfkc") + Bytes(2, "map") + Whole(4, 0))),
      HasSubstr("nmt_nfkc"));
  EXPECT_THAT(Refusal(kPieces + kTrainer + Bytes(3, Whole(4, 0) + Whole(5, 0))),
              HasSubstr("escaped"));
  EXPECT_THAT(Refusal(kPieces + Bytes(2, Whole(3, 2) + Whole(24, 1)) + kNormalizer),
              HasSubstr("end of words"));
  EXPECT_THAT(Refusal(kPieces + Piece("x", 0, 5) + kTrainer + kNormalizer), HasSubstr("not used"));
}

TEST(SentencePieceModel, RefusesDamagedFiles) {
  const std::string whole = kPieces + kTrainer + kNormalizer;
  for (size_t size = 0; size < whole.size(); ++size) {
    try {
      Parse(whole.substr(0, size));
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("t.model"));
    }
  }
  EXPECT_THAT(Refusal("", ErrorKind::kCorrupt), HasSubstr("no pieces"));
  EXPECT_THAT(Refusal(Piece("x", std::nanf(""), 1), ErrorKind::kCorrupt), HasSubstr("no number"));
  EXPECT_THAT(Refusal(Piece("x", 0, 9), ErrorKind::kCorrupt), HasSubstr("type 9"));
  EXPECT_THAT(Refusal("version https://git-lfs", ErrorKind::kCorrupt), HasSubstr("t.model"));
  EXPECT_THAT(Refusal(std::string(12, '\xFF'), ErrorKind::kCorrupt), HasSubstr("64 bits"));
}

TEST(HfAddedTokens, StandBehindThoseOfTheModel) {
  TokenizerSpec spec = Parse(kPieces + kTrainer + kNormalizer);
  const JsonTree file = JsonTree::parse(R"({"<end>": 11, "<plain>": 9})");
  const JsonTree settings =
      JsonTree::parse(R"({"additional_special_tokens": ["<end>"], "pad_token": "</s>"})");
  AddHfTokens({&file, &settings, "added_tokens.json", "tokenizer_config.json"}, &spec);
  const auto tokenizer = MakeTokenizer(spec);
  EXPECT_EQ(tokenizer->vocab(), 12);
  EXPECT_TRUE(tokenizer->IsSpecial(11));
  EXPECT_THAT(tokenizer->Encode("he<plain><end>", SpecialTokens::kParse), ElementsAre(7, 9, 11));
  EXPECT_EQ(tokenizer->Piece(10), "");
}

TEST(HfAddedTokens, TheSettingsTellTheirRules) {
  TokenizerSpec spec = Parse(kPieces + kTrainer + kNormalizer);
  const JsonTree settings = JsonTree::parse(
      R"({"added_tokens_decoder": {"1": {"content": "<s>", "special": true},
          "9": {"content": "<end>", "special": true, "rstrip": true}}})");
  AddHfTokens({nullptr, &settings, "", "tokenizer_config.json"}, &spec);
  EXPECT_THAT(MakeTokenizer(spec)->Encode("he<end> \nhe", SpecialTokens::kParse),
              ElementsAre(7, 9, 7));
}

TEST(HfAddedTokens, ContradictionsAreRefused) {
  for (const char* text :
       {R"({"x": 1})", R"({"x": -1})", R"({"x": "9"})", R"({"x": 4194304})", "[]"}) {
    const JsonTree file = JsonTree::parse(text);
    TokenizerSpec spec = Parse(kPieces + kTrainer + kNormalizer);
    EXPECT_THAT(Refusal(
                    [&] {
                      AddHfTokens({&file, nullptr, "added_tokens.json", ""}, &spec);
                    },
                    ErrorKind::kCorrupt),
                HasSubstr("added_tokens.json"));
  }
}

}  // namespace
}  // namespace quantspec
