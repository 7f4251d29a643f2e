// The token list of a model: texts, types, the tokens with a role, and the search for tokens
// by their text. Compact: one arena of bytes and one flat hash table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/types.h"
#include "text/token_matcher.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

class Vocabulary {
 public:
  // Pieces of byte-level BPE are kept as the bytes that they spell.
  explicit Vocabulary(const TokenizerSpec& spec);
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  int size() const { return static_cast<int>(types_.size()); }
  // Throws Error{kUsage} for an id out of range.
  void Check(Token token) const;

  std::string_view text(Token token) const {
    const size_t i = Index(token);
    return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }
  TokenType type(Token token) const { return types_[Index(token)]; }
  // Control and unknown tokens: never part of a text.
  bool IsSpecial(Token token) const {
    return type(token) == TokenType::kControl || type(token) == TokenType::kUnknown;
  }
  bool IsEnd(Token token) const { return is_end_[Index(token)]; }
  Token bos() const { return bos_; }          // -1 = none
  Token eos() const { return eos_; }          // -1 = none
  Token unknown() const { return unknown_; }  // -1 = none

  // The normal token with this text (with kCharacterBpe also a user-defined one). Of equal texts
  // the first one wins. -1 = none.
  Token Find(std::string_view text) const;
  // Tokens that stand for themselves wherever their name occurs: user-defined ones, and special
  // ones if asked for.
  TokenMatcher Matcher(bool with_special) const { return TokenMatcher(Names(with_special)); }
  // The names that such a matcher looks for, with how the source wants them found.
  std::vector<TokenName> Names(bool with_special) const;

 private:
  static size_t Index(Token token) { return static_cast<size_t>(token); }
  void SetTypes(const TokenizerSpec& spec);
  void MarkEnds(const TokenizerSpec& spec);
  void StoreTexts(const TokenizerSpec& spec);
  void FillTable(const TokenizerSpec& spec);
  size_t Slot(std::string_view text) const;

  std::string bytes_;             // of all texts
  std::vector<uint32_t> begins_;  // of each text in bytes_, and the end of the last one
  std::vector<TokenType> types_;
  std::vector<bool> is_end_;
  std::vector<AddedToken> added_;  // sorted by id
  std::vector<bool> is_misspelt_;  // normal, but not in the alphabet: found in no text
  std::vector<Token> table_;       // open addressing; -1 = free; a power of two
  Token bos_ = -1;
  Token eos_ = -1;
  Token unknown_ = -1;
};

}  // namespace quantspec
