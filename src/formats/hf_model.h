// A Hugging Face folder as a model.
#pragma once

#include <string>

#include "formats/loaded_model.h"

namespace quantspec {

// Reads config.json, the headers of the weight files, tokenizer.json with tokenizer_config.json,
// generation_config.json and the chat template. Throws as LoadModel does.
LoadedModel LoadHfFolder(const std::string& folder);

}  // namespace quantspec
