// What the tokenizers have in common: a vocabulary, and names in text that are tokens.
#pragma once

#include <string_view>
#include <vector>

#include "text/token_matcher.h"
#include "text/tokenizer.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

namespace quantspec {

class VocabularyTokenizer : public NamingTokenizer {
 public:
  int vocab() const final { return vocabulary_.size(); }
  bool IsSpecial(Token token) const final;
  bool IsEnd(Token token) const final;
  Token bos() const final { return vocabulary_.bos(); }
  Token eos() const final { return vocabulary_.eos(); }

 protected:
  explicit VocabularyTokenizer(const TokenizerSpec& spec) : vocabulary_(spec) {}

  // Throws Error{kUsage} for more text than places of 31 bits reach, were it three times as long.
  static void CheckSize(std::string_view text);
  // Names become their tokens; `add_text(begin, end)` is called for what stands between them.
  template <typename AddText>
  static void CutAtNames(std::string_view text, const TokenMatcher& names, const NameFilter* filter,
                         std::vector<Token>& out, const AddText& add_text) {
    for (size_t at = 0; at < text.size();) {
      size_t place = 0;
      const TokenMatcher::Match name = names.FindFrom(text, at, &place, filter);
      if (place > at) add_text(at, place);
      if (name.token >= 0) out.push_back(name.token);
      at = place + name.bytes;
    }
  }

  const Vocabulary vocabulary_;
};

}  // namespace quantspec
