// The tokenizer of a Hugging Face folder from its tokenizer.model. [sentencepiece]
#pragma once

#include <memory>
#include <string>

#include "text/tokenizer_spec.h"

namespace quantspec {

// Reads byte-pair encodings whose normalizer changes nothing but spaces, as those of Llama 2,
// Mistral and Gemma. Throws Error: kIo, kCorrupt, and kUnsupported by the name of what is missing.
TokenizerSpec ReadSentencePieceModel(const std::string& path);
// The same from a file's bytes; `file` begins messages.
TokenizerSpec ParseSentencePieceModel(std::shared_ptr<const std::string> bytes,
                                      const std::string& file);

}  // namespace quantspec
