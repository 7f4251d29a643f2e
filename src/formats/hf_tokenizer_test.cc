#include "formats/hf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/json_tree.h"
#include "quantspec/error.h"
#include "text/tokenizer.h"

namespace quantspec {
namespace {

using testing::HasSubstr;

JsonTree ByteLevel() {
  return JsonTree::parse(R"({
    "added_tokens": [{"id": 5, "content": "<s>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120ab": 4},
              "merges": ["a b", ["\u0120", "ab"]]}})");
}

TokenizerSpec Read(const std::string& text) {
  return ParseHfTokenizer(std::make_shared<const std::string>(text), "tokenizer.json");
}

std::string Refusal(const std::string& text, ErrorKind kind) {
  try {
    MakeTokenizer(Read(text));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), testing::StartsWith("tokenizer.json: "));
    return error.what();
  }
  ADD_FAILURE() << "not refused: " << text.substr(0, 200);
  return "";
}
std::string Refusal(const JsonTree& tree, ErrorKind kind = ErrorKind::kUnsupported) {
  return Refusal(tree.dump(), kind);
}

TEST(HfTokenizer, MergesOfBothSpellingsGiveTokens) {
  const auto tokenizer = MakeTokenizer(Read(ByteLevel().dump()));
  EXPECT_THAT(tokenizer->Encode("ab ab<s>", SpecialTokens::kParse), testing::ElementsAre(3, 4, 5));
  EXPECT_TRUE(tokenizer->IsSpecial(5));
  EXPECT_FALSE(tokenizer->adds_bos());
}

TEST(HfTokenizer, RefusesPartsByTheirNames) {
  const auto with = [](const char* pointer, const char* value) {
    JsonTree tree = ByteLevel();
    tree[JsonTree::json_pointer(pointer)] = JsonTree::parse(value);
    return tree;
  };
  EXPECT_THAT(Refusal(with("/model/type", R"("Unigram")")), HasSubstr("Unigram"));
  EXPECT_THAT(Refusal(with("/model/end_of_word_suffix", R"("</w>")")), HasSubstr("</w>"));
  EXPECT_THAT(Refusal(with("/model/dropout", "0.1")), HasSubstr("dropout"));
  EXPECT_THAT(Refusal(with("/normalizer", R"({"type":"Lowercase"})")), HasSubstr("Lowercase"));
  EXPECT_THAT(Refusal(with("/decoder", R"({"type":"WordPiece"})")), HasSubstr("WordPiece"));
  EXPECT_THAT(Refusal(with("/decoder", "null")), HasSubstr("decoder"));
  EXPECT_THAT(Refusal(with("/pre_tokenizer", R"({"type":"BertPreTokenizer"})")),
              HasSubstr("BertPreTokenizer"));
  EXPECT_THAT(Refusal(with("/pre_tokenizer/add_prefix_space", "true")),
              HasSubstr("add_prefix_space"));
  EXPECT_THAT(Refusal(with("/pre_tokenizer", R"({"type":"Sequence","pretokenizers":[
                {"type":"Split","pattern":{"Regex":"a"},"behavior":"MergedWithNext"},
                {"type":"ByteLevel","add_prefix_space":false}]})")),
              HasSubstr("MergedWithNext"));
  EXPECT_THAT(Refusal(with("/pre_tokenizer", R"({"type":"Sequence","pretokenizers":[
                {"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"},
                {"type":"ByteLevel","add_prefix_space":false}]})")),
              HasSubstr("pattern"));
  EXPECT_THAT(Refusal(with("/post_processor", R"({"type":"BertProcessing"})")),
              HasSubstr("BertProcessing"));
  EXPECT_THAT(Refusal(with("/post_processor", R"({"type":"TemplateProcessing","single":[
                {"Sequence":{"id":"A"}},{"SpecialToken":{"id":"<s>"}}],
                "special_tokens":{"<s>":{"ids":[5]}}})")),
              HasSubstr("one special token in front"));
}

TEST(HfTokenizer, RefusesDamagedFiles) {
  const std::string whole = ByteLevel().dump();
  for (size_t size = 0; size < whole.size(); ++size) {
    Refusal(whole.substr(0, size), ErrorKind::kCorrupt);
  }
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    text.replace(text.find(from), from.size(), to);
    return Refusal(text, ErrorKind::kCorrupt);
  };
  EXPECT_THAT(replaced("\"b\":1", "\"b\":0"), HasSubstr("token id 0"));
  EXPECT_THAT(replaced("\"b\":1", "\"b\":4194304"), HasSubstr("2^22"));
  EXPECT_THAT(replaced("\"b\":1", "\"b\":-1"), HasSubstr("-1"));
  EXPECT_THAT(replaced("\"a b\"", "\"a  b\""), HasSubstr("one space"));
  EXPECT_THAT(replaced("\"a b\"", "\"a x\""), HasSubstr("merges"));
  EXPECT_THAT(replaced("\"id\":5", "\"id\":3"), HasSubstr("as in model.vocab"));
  EXPECT_THAT(Refusal(std::string("{}"), ErrorKind::kCorrupt), HasSubstr("no model"));
}

TEST(HfTokenizer, IdsWithoutATokenAreHoles) {
  JsonTree tree = ByteLevel();
  tree["added_tokens"][0]["id"] = 9;
  const auto tokenizer = MakeTokenizer(Read(tree.dump()));
  EXPECT_EQ(tokenizer->vocab(), 10);
  EXPECT_EQ(tokenizer->Piece(7), "");
  EXPECT_THAT(tokenizer->Encode("<s>", SpecialTokens::kParse), testing::ElementsAre(9));
}

}  // namespace
}  // namespace quantspec
