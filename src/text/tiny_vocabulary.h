// Tokenizers small enough to read, for tests.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer_spec.h"

namespace quantspec {

struct TinyToken {
  std::string text;
  TokenType type = TokenType::kNormal;
  float score = 0;
};

// A tokenizer of these tokens; a merge is "left right". Nothing else is set.
inline TokenizerSpec TinySpec(TokenizerKind kind, std::vector<TinyToken> tokens,
                              std::vector<std::string> merges = {}) {
  struct Texts {
    std::vector<TinyToken> tokens;
    std::vector<std::string> merges;
  };
  const auto texts = std::make_shared<Texts>(Texts{std::move(tokens), std::move(merges)});
  TokenizerSpec spec;
  spec.source = "tiny";
  spec.kind = kind;
  for (const TinyToken& token : texts->tokens) {
    spec.pieces.push_back(token.text);
    spec.types.push_back(token.type);
    if (kind == TokenizerKind::kSentencePiece) spec.scores.push_back(token.score);
  }
  for (const std::string_view merge : texts->merges) {
    const size_t space = merge.find(' ');
    spec.merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  spec.pre_tokenizer = "gpt-2";
  spec.storage = texts;
  return spec;
}

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
inline TokenizerSpec TinyBpe(std::string_view pre_tokenizer = "gpt-2") {
  std::vector<TinyToken> tokens = ByteAlphabetTokens();
  for (const char* text : {"he", "ll", "hell", "hello", "\xC4\xA0hello"}) tokens.push_back({text});
  tokens.push_back({"<|im_start|>", TokenType::kControl});
  tokens.push_back({"<|im_end|>", TokenType::kControl});
  tokens.push_back({"<tool>", TokenType::kUserDefined});
  TokenizerSpec spec = TinySpec(TokenizerKind::kByteLevelBpe, std::move(tokens),
                                {"h e", "l l", "he ll", "hell o", "\xC4\xA0 hello"});
  spec.pre_tokenizer = pre_tokenizer;
  spec.bos = 261;
  spec.eos = 262;
  spec.ends = {262};
  return spec;
}

// 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then 259 the space sign, 260 "h", 261 "e", 262 "he",
// 263 sign + "he", 264 <tool> (user-defined).
inline TokenizerSpec TinySpm() {
  std::vector<TinyToken> tokens = {
      {"<unk>", TokenType::kUnknown}, {"<s>", TokenType::kControl}, {"</s>", TokenType::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    tokens.push_back({std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] +
                          kDigits[static_cast<size_t>(byte % 16)] + ">",
                      TokenType::kByte});
  }
  const std::vector<TinyToken> words = {{"\xE2\x96\x81", TokenType::kNormal, -4},
                                        {"h", TokenType::kNormal, -5},
                                        {"e", TokenType::kNormal, -6},
                                        {"he", TokenType::kNormal, -1},
                                        {"\xE2\x96\x81he", TokenType::kNormal, -2},
                                        {"<tool>", TokenType::kUserDefined}};
  tokens.insert(tokens.end(), words.begin(), words.end());
  TokenizerSpec spec = TinySpec(TokenizerKind::kSentencePiece, std::move(tokens));
  spec.bos = 1;
  spec.eos = 2;
  spec.unknown = 0;
  spec.ends = {2};
  return spec;
}

}  // namespace quantspec
