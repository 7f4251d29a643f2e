// What fuzzers of tokenizer files do with a tokenizer.
#pragma once

#include <string>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"

namespace quantspec {

// Texts, `input` among them, give tokens of the vocabulary and come back from them.
inline void TryTexts(const Tokenizer& tokenizer, const std::string& input) {
  const std::string texts[] = {"Hello  w\xC3\xB6rld 12\n\n 's <s> x", "\xFF\xE2\x96\x81 a",
                               input.substr(0, 2000)};
  for (const std::string& text : texts) {
    for (const SpecialTokens special : {SpecialTokens::kAsText, SpecialTokens::kParse}) {
      const std::vector<Token> tokens = tokenizer.Encode(text, special);
      for (const Token token : tokens) QS_CHECK(token >= 0 && token < tokenizer.vocab());
      tokenizer.Decode(tokens);
    }
  }
}

}  // namespace quantspec
