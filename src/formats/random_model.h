// Random weights of a known shape, for measurements.
#pragma once

#include <string>

#include "formats/loaded_model.h"

namespace quantspec {

// "llama-3.2-1b", "llama-2-7b", "smollm2-135m", "qwen2.5-1.5b". Throws Error{kUsage} listing the
// names.
LoadedModel RandomModel(const std::string& shape);

// Random 4-bit weights of any shape, norms of one, a tied head, no tokenizer.
LoadedModel RandomModel(const ModelConfig& config);

}  // namespace quantspec
