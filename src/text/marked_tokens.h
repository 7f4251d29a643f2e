// Tokens of text whose bytes know where they came from.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/text.h"
#include "text/jinja/marked_text.h"

namespace quantspec {

// Special tokens are read only where a template wrote all of their name; text between them is
// encoded in one run, as the model saw it.
class MarkedTokenizer {
 public:
  // With `adds_space`, the tokenizer puts a space before every run; a run's own space is that one.
  // `tokenizer` must outlive this.
  MarkedTokenizer(const Tokenizer& tokenizer, bool adds_space);

  std::vector<Token> Encode(const jinja::MarkedText& text) const;

 private:
  struct Name {
    std::string text;
    Token token;
  };

  // The longest name at `at` that ends at `end` at the latest; null if there is none.
  const Name* Find(std::string_view text, size_t at, size_t end) const;
  void EncodeRun(std::string_view run, std::vector<Token>* tokens) const;

  const Tokenizer& tokenizer_;
  bool adds_space_;
  std::array<std::vector<Name>, 256> names_;  // by their first byte, long ones first
};

}  // namespace quantspec
