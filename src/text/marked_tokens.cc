#include "text/marked_tokens.h"

#include <algorithm>

namespace quantspec {

MarkedTokenizer::MarkedTokenizer(const Tokenizer& tokenizer, bool adds_space)
    : tokenizer_(tokenizer), adds_space_(adds_space) {
  for (Token token = 0; token < tokenizer.vocab(); ++token) {
    if (!tokenizer.IsSpecial(token)) continue;
    const std::string text = tokenizer.Piece(token);
    if (!text.empty()) names_[static_cast<uint8_t>(text[0])].push_back({text, token});
  }
  for (std::vector<Name>& names : names_) {
    std::stable_sort(names.begin(), names.end(),
                     [](const Name& a, const Name& b) { return a.text.size() > b.text.size(); });
  }
}

const MarkedTokenizer::Name* MarkedTokenizer::Find(std::string_view text, size_t at,
                                                   size_t end) const {
  for (const Name& name : names_[static_cast<uint8_t>(text[at])]) {
    if (name.text.size() <= end - at && text.compare(at, name.text.size(), name.text) == 0) {
      return &name;
    }
  }
  return nullptr;
}

void MarkedTokenizer::EncodeRun(std::string_view run, std::vector<Token>* tokens) const {
  if (run.empty()) return;
  if (adds_space_ && run.size() > 1 && run[0] == ' ') run.remove_prefix(1);
  const std::vector<Token> more = tokenizer_.Encode(run, SpecialTokens::kAsText);
  tokens->insert(tokens->end(), more.begin(), more.end());
}

std::vector<Token> MarkedTokenizer::Encode(const jinja::MarkedText& text) const {
  std::vector<Token> tokens;
  const std::string_view bytes = text.bytes();
  size_t run = 0;  // where the text that is not encoded yet begins
  size_t begin = 0;
  for (const auto& [end, origin] : text.runs()) {
    for (size_t at = begin; at < end && origin == jinja::Origin::kTemplate;) {
      const Name* name = Find(bytes, at, end);
      if (name == nullptr) {
        ++at;
        continue;
      }
      EncodeRun(bytes.substr(run, at - run), &tokens);
      tokens.push_back(name->token);
      run = at += name->text.size();
    }
    begin = end;
  }
  EncodeRun(bytes.substr(run), &tokens);
  return tokens;
}

}  // namespace quantspec
