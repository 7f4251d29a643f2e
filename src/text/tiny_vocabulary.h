// Tokenizer metadata small enough to read, as GGUF files in memory, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/gguf_test_file.h"

namespace quantspec {

struct TinyToken {
  std::string text;
  int32_t type = 1;  // TokenType
  float score = 0;
};

// Writes metadata entries as converters do.
class TinyVocabulary {
 public:
  explicit TinyVocabulary(std::string_view model) { Text("tokenizer.ggml.model", model); }

  TinyVocabulary& Text(std::string_view key, std::string_view value) {
    file_.Entry(key, 8, GgufTestFile::Text(value));
    return *this;
  }
  TinyVocabulary& Bool(std::string_view key, bool value) {
    file_.Entry(key, 7, GgufTestFile::Bytes(uint8_t{value}));
    return *this;
  }
  TinyVocabulary& Id(std::string_view name, uint32_t id) {
    file_.Entry("tokenizer.ggml." + std::string(name) + "_token_id", 4, GgufTestFile::Bytes(id));
    return *this;
  }
  TinyVocabulary& Texts(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes;
    for (const std::string& value : values) bytes += GgufTestFile::Text(value);
    file_.Array(key, 8, values.size(), bytes);
    return *this;
  }
  TinyVocabulary& Types(const std::vector<int32_t>& types) {
    std::string bytes;
    for (const int32_t type : types) bytes += GgufTestFile::Bytes(type);
    file_.Array("tokenizer.ggml.token_type", 5, types.size(), bytes);
    return *this;
  }
  TinyVocabulary& Scores(const std::vector<float>& scores) {
    std::string bytes;
    for (const float score : scores) bytes += GgufTestFile::Bytes(score);
    file_.Array("tokenizer.ggml.scores", 6, scores.size(), bytes);
    return *this;
  }
  // Texts, types and, with `scores`, scores.
  TinyVocabulary& Tokens(const std::vector<TinyToken>& tokens, bool scores) {
    std::vector<std::string> texts;
    std::vector<int32_t> types;
    std::vector<float> all_scores;
    for (const TinyToken& token : tokens) {
      texts.push_back(token.text);
      types.push_back(token.type);
      all_scores.push_back(token.score);
    }
    Texts("tokenizer.ggml.tokens", texts).Types(types);
    return scores ? Scores(all_scores) : *this;
  }
  std::string Finish() const { return file_.Finish(); }

 private:
  GgufTestFile file_;
};

// The 256 characters of the byte alphabet, by byte.
inline std::vector<TinyToken> ByteAlphabetTokens() {
  std::vector<TinyToken> tokens;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool shown = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    const int code = shown ? byte : next++;
    const std::string text = code < 0x80 ? std::string(1, static_cast<char>(code))
                                         : std::string{static_cast<char>(0xC0 | code >> 6),
                                                       static_cast<char>(0x80 | (code & 0x3F))};
    tokens.push_back({text});
  }
  return tokens;
}

// Bytes 0 to 255, then 256 "he", 257 "ll", 258 "hell", 259 "hello", 260 " hello" (with the space as
// the alphabet writes it), 261 <|im_start|>, 262 <|im_end|>, 263 <tool> (user-defined).
inline TinyVocabulary TinyBpe(std::string_view pre = "gpt-2") {
  std::vector<TinyToken> tokens = ByteAlphabetTokens();
  for (const char* text : {"he", "ll", "hell", "hello", "\xC4\xA0hello"}) tokens.push_back({text});
  tokens.push_back({"<|im_start|>", 3});
  tokens.push_back({"<|im_end|>", 3});
  tokens.push_back({"<tool>", 4});
  TinyVocabulary file("gpt2");
  file.Text("tokenizer.ggml.pre", pre).Tokens(tokens, /*scores=*/false);
  file.Texts("tokenizer.ggml.merges", {"h e", "l l", "he ll", "hell o", "\xC4\xA0 hello"});
  file.Id("bos", 261).Id("eos", 262);
  return file;
}

// 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then 259 the space sign, 260 "h", 261 "e", 262 "he",
// 263 sign + "he", 264 <tool> (user-defined).
inline TinyVocabulary TinySpm() {
  std::vector<TinyToken> tokens = {{"<unk>", 2}, {"<s>", 3}, {"</s>", 3}};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    tokens.push_back({std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] +
                          kDigits[static_cast<size_t>(byte % 16)] + ">",
                      6});
  }
  const std::vector<TinyToken> words = {
      {"\xE2\x96\x81", 1, -4},   {"h", 1, -5}, {"e", 1, -6}, {"he", 1, -1},
      {"\xE2\x96\x81he", 1, -2}, {"<tool>", 4}};
  tokens.insert(tokens.end(), words.begin(), words.end());
  TinyVocabulary file("llama");
  file.Tokens(tokens, /*scores=*/true).Id("bos", 1).Id("eos", 2).Id("unknown", 0);
  return file;
}

}  // namespace quantspec
