// The tokenizer of a model from the metadata of its GGUF file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

// Reads tokenizer.ggml.*: model "gpt2" (byte-level BPE) or "llama" (SentencePiece). What has to be
// guessed is told in `warnings`. Throws Error: kCorrupt, kUnsupported (names what is missing).
// `storage` keeps the bytes that `file` was parsed from, which the result views; null if they stay
// anyway.
TokenizerSpec ReadGgufTokenizer(const Gguf& file, std::shared_ptr<const void> storage,
                                std::vector<std::string>* warnings);

}  // namespace quantspec
