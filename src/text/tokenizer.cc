// Picks the tokenizer that a file's metadata describes.

#include <memory>
#include <string>

#include "quantspec/error.h"
#include "text/bpe_tokenizer.h"
#include "text/gguf_tokenizer.h"
#include "text/spm_tokenizer.h"

namespace quantspec {

std::unique_ptr<Tokenizer> MakeTokenizer(const Gguf& file) {
  const auto model = file.String("tokenizer.ggml.model");
  if (!model) {
    throw Error(ErrorKind::kCorrupt,
                file.name() +
                    ": metadata tokenizer.ggml.model: found none, expected \"gpt2\" or "
                    "\"llama\"; convert the model again, with its tokenizer");
  }
  if (*model == "gpt2") return std::make_unique<BpeTokenizer>(file);
  if (*model == "llama") return std::make_unique<SpmTokenizer>(file);
  throw Error(ErrorKind::kUnsupported, file.name() + ": metadata tokenizer.ggml.model: found \"" +
                                           std::string(model->substr(0, 80)) +
                                           "\", expected \"gpt2\" (byte-level BPE) or \"llama\" "
                                           "(SentencePiece BPE)");
}

}  // namespace quantspec
