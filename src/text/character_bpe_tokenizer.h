// Byte-pair encoding by ranks over characters, with spaces written as U+2581 and byte fallback: the
// way in which tokenizer.json keeps SentencePiece models. [tokenizers]
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/text.h"
#include "text/merge_table.h"
#include "text/token_matcher.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary_tokenizer.h"

namespace quantspec {

class CharacterBpeTokenizer : public VocabularyTokenizer {
 public:
  // Throws Error{kCorrupt}.
  explicit CharacterBpeTokenizer(const TokenizerSpec& spec);

  // Characters without a token, and bytes that are no characters, are left out where there are
  // neither tokens of bytes nor one for the unknown.
  std::vector<Token> Encode(std::string_view text, SpecialTokens special) const override;
  std::vector<Token> EncodeNamed(std::string_view text, const NameFilter& filter) const override;
  std::string Piece(Token token) const override;
  std::string Decode(std::span<const Token> tokens) const override;
  bool adds_bos() const override { return adds_bos_; }

 private:
  class Encoder;
  // What finds names in text, and in text whose spaces are escaped already.
  struct Names {
    Names(const Vocabulary& vocabulary, bool with_special, const TokenizerSpec& spec);
    TokenMatcher plain, escaped;
  };

  std::vector<Token> EncodeWith(std::string_view text, const Names& names,
                                const NameFilter* filter) const;

  const MergeTable merges_;
  const Names names_;               // that stand for themselves in any text
  const Names names_and_special_;   // and those that only templates may write
  std::array<Token, 256> of_byte_;  // -1 = none
  const SpacePrefix prefix_;
  const bool escapes_before_names_, cuts_at_spaces_, keeps_whole_tokens_, falls_back_to_bytes_,
      fuses_unknown_, drops_first_space_, adds_bos_;
  bool words_are_apart_;  // no token has a space after something else, so merges stay inside words
};

}  // namespace quantspec
