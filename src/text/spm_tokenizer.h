// SentencePiece-style byte-pair encoding by scores, with byte fallback. [sentencepiece]
#pragma once

#include <array>
#include <string>
#include <vector>

#include "quantspec/text.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary_tokenizer.h"

namespace quantspec {

class SpmTokenizer : public VocabularyTokenizer {
 public:
  // Throws Error: kCorrupt, kUnsupported.
  explicit SpmTokenizer(const TokenizerSpec& spec);

  std::vector<Token> Encode(std::string_view text, SpecialTokens special) const override;
  std::vector<Token> EncodeNamed(std::string_view text, const NameFilter& filter) const override;
  std::string Piece(Token token) const override;
  std::string Decode(std::span<const Token> tokens) const override;
  bool adds_bos() const override { return adds_bos_; }

 private:
  struct Work;

  void FindBytes(const TokenizerSpec& spec);
  std::vector<Token> EncodeWith(std::string_view text, const TokenMatcher& names,
                                const NameFilter* filter) const;
  // Text without special tokens; any bytes.
  void EncodeText(std::string_view text, Work& work, std::vector<Token>& out) const;
  // `text` has its spaces escaped and holds no user-defined token.
  void EncodeEscaped(std::string_view text, Work& work, std::vector<Token>& out) const;
  void EncodeWord(std::string_view word, Work& work, std::vector<Token>& out) const;
  void EmitSymbol(std::string_view symbol, std::vector<Token>& out) const;

  const TokenMatcher no_names_, special_;
  const TokenMatcher user_defined_;
  const std::vector<float> scores_;
  std::array<Token, 256> of_byte_;  // -1 = none
  bool adds_space_;
  bool adds_bos_;
  bool fuses_unknown_;
  bool words_are_apart_;  // no token has a space after something else, so merges stay inside words
};

}  // namespace quantspec
