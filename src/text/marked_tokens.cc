#include "text/marked_tokens.h"

namespace quantspec {

std::vector<Token> EncodeMarked(const NamingTokenizer& tokenizer, const jinja::MarkedText& text) {
  const auto is_of_template = [&](size_t begin, size_t end) {
    return text.OriginOf(begin, end) == jinja::Origin::kTemplate;
  };
  return tokenizer.EncodeNamed(text.bytes(), is_of_template);
}

}  // namespace quantspec
