// Tokenizers and chat formats from plain data.
#pragma once

#include <memory>
#include <string_view>

#include "quantspec/text.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

// Throws Error: kCorrupt for a spec that contradicts itself, kUnsupported naming what is missing.
// The result copies what it needs.
std::unique_ptr<Tokenizer> MakeTokenizer(const TokenizerSpec& spec);

// The chat format that `chat_template` belongs to. Throws Error{kUnsupported} naming `--chat off`
// for a template of no known family. `tokenizer`, made from `spec`, must outlive the result.
std::unique_ptr<ChatFormat> MakeChatFormat(std::string_view chat_template,
                                           const TokenizerSpec& spec, const Tokenizer& tokenizer);

}  // namespace quantspec
