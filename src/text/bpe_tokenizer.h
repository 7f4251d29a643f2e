// Byte-level byte-pair encoding. [gpt2]
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/text.h"
#include "text/merge_table.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary_tokenizer.h"

namespace quantspec {

class BpeTokenizer : public VocabularyTokenizer {
 public:
  // Throws Error: kCorrupt, kUnsupported.
  explicit BpeTokenizer(const TokenizerSpec& spec);

  // Bytes that the vocabulary has no token for (some leave out those that their training text did
  // not contain) are left out, as the Hugging Face tokenizers do.
  std::vector<Token> Encode(std::string_view text, SpecialTokens special) const override;
  std::vector<Token> EncodeNamed(std::string_view text, const NameFilter& filter) const override;
  std::string Piece(Token token) const override;
  std::string Decode(std::span<const Token> tokens) const override;
  bool adds_bos() const override { return adds_bos_; }

 private:
  class Encoder;

  std::vector<Token> EncodeWith(std::string_view text, const TokenMatcher& names,
                                const NameFilter* filter) const;

  const MergeTable merges_;
  const PreTokenizer pre_tokenizer_;
  const bool keeps_whole_tokens_;
  const TokenMatcher names_;              // that stand for themselves in any text
  const TokenMatcher names_and_special_;  // and those that only templates may write
  std::array<Token, 256> byte_tokens_{};  // -1 = none
  bool adds_bos_ = false;
};

}  // namespace quantspec
