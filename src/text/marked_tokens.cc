#include "text/marked_tokens.h"

#include <algorithm>

namespace quantspec {

std::vector<Token> EncodeMarked(const NamingTokenizer& tokenizer, const jinja::MarkedText& text) {
  using Run = jinja::MarkedText::Run;
  const std::vector<Run>& runs = text.runs();
  const auto is_of_template = [&](size_t begin, size_t end) {
    const auto run = std::upper_bound(runs.begin(), runs.end(), begin,
                                      [](size_t at, const Run& r) { return at < r.end; });
    return run != runs.end() && run->origin == jinja::Origin::kTemplate && end <= run->end;
  };
  return tokenizer.EncodeNamed(text.bytes(), is_of_template);
}

}  // namespace quantspec
