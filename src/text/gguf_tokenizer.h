// Tokenizers and chat formats from a GGUF file's metadata.
#pragma once

#include <memory>

#include "io/gguf.h"
#include "quantspec/text.h"

namespace quantspec {

// Builds the tokenizer that `tokenizer.ggml.*` describes: model "gpt2" (byte-level BPE) or "llama"
// (SentencePiece-style BPE with byte fallback). Throws Error: kCorrupt, kUnsupported (names what is
// missing). The result copies what it needs; `file` may go.
std::unique_ptr<Tokenizer> MakeTokenizer(const Gguf& file);

// The chat format that `tokenizer.chat_template` belongs to; null if the file has none. Throws
// Error{kUnsupported} naming `--chat off` for a template of no known family. `tokenizer` must
// outlive the result.
std::unique_ptr<ChatFormat> MakeChatFormat(const Gguf& file, const Tokenizer& tokenizer);

}  // namespace quantspec
