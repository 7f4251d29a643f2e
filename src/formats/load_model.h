// Reads a model from what a user names: a GGUF file, any one of the files that a model was split
// into, or a Hugging Face folder.
#pragma once

#include <string>

#include "formats/loaded_model.h"

namespace quantspec {

// Reads and checks everything but the values of tensors. Throws Error: kIo, kCorrupt, and
// kUnsupported, saying what is missing, for a model that this build cannot run or a file that holds
// something else.
LoadedModel LoadModel(const std::string& path);

}  // namespace quantspec
