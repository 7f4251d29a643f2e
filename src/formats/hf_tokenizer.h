// The tokenizer of a Hugging Face folder from its tokenizer.json. [tokenizers]
#pragma once

#include <memory>
#include <string>

#include "text/tokenizer_spec.h"

namespace quantspec {

// Reads byte-pair encodings, taken literally. Neither eos nor ends are in this file; bos is where
// the file puts one in front of texts. Throws Error: kIo, kCorrupt, kUnsupported by the name of
// what is missing.
TokenizerSpec ReadHfTokenizer(const std::string& path);
// The same from text; `file` begins messages.
TokenizerSpec ParseHfTokenizer(std::shared_ptr<const std::string> text, const std::string& file);

// The token with this text, -1 if there is none.
Token FindPiece(const TokenizerSpec& spec, std::string_view text);

}  // namespace quantspec
