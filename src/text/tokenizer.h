// Tokenizers and chat templates from plain data.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quantspec/text.h"
#include "text/token_matcher.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

// What makes chat prompts needs of a tokenizer besides.
class NamingTokenizer : public Tokenizer {
 public:
  // As Encode; special tokens are read where `filter` lets their names be.
  virtual std::vector<Token> EncodeNamed(std::string_view text, const NameFilter& filter) const = 0;
};

// Throws Error: kCorrupt for a spec that contradicts itself, kUnsupported naming what is missing.
// The result copies what it needs.
std::unique_ptr<NamingTokenizer> MakeTokenizer(const TokenizerSpec& spec);

// The templates of a model.
struct ChatTemplateTexts {
  std::optional<std::string> text;                              // the usual one
  std::vector<std::pair<std::string, std::string>> named = {};  // "default", "tool_use", ...
};

// Conversations with tools are written by "tool_use" where there is one, all others by `text` or
// "default". `tokenizer`, made from `spec`, must outlive the result. Throws Error{kUnsupported}
// naming the line of a template that cannot be read, and where there is no template for a
// conversation.
std::unique_ptr<ChatTemplate> MakeChatTemplate(const ChatTemplateTexts& texts,
                                               const TokenizerSpec& spec,
                                               const NamingTokenizer& tokenizer);

}  // namespace quantspec
