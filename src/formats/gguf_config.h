// The configuration of a model from the metadata of its GGUF file.
#pragma once

#include "formats/model_config.h"
#include "io/gguf.h"

namespace quantspec {

// Throws Error{kUnsupported}, saying what it is and what it needs, if `file` holds something else
// than a model: a LoRA adapter, a projector of images or sound, an importance matrix.
void CheckIsModel(const Gguf& file);

// Reads and checks everything but the tensors; `embedding` is the token embedding, null if there
// is none. ModelConfig::tokens is that tensor's rows. Throws Error: kCorrupt for missing or absurd
// values, kUnsupported (saying what is missing) for unknown architectures, sliding windows,
// mixtures of experts, soft-capping and RoPE scalings this build does not know.
ModelConfig ReadGgufConfig(const Gguf& file, const GgufTensor* embedding);

}  // namespace quantspec
