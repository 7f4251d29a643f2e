// Tokens that the files beside a tokenizer.model add to it.
#pragma once

#include <string>

#include "formats/json_tree.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

struct HfAddedTokens {
  const JsonTree* file = nullptr;      // of added_tokens.json: {text: id}
  const JsonTree* settings = nullptr;  // of tokenizer_config.json: added_tokens_decoder
  std::string file_name, settings_name;
};

// Adds them to a spec of kSentencePiece, with empty tokens where ids leave a gap. Throws
// Error{kCorrupt} for ids out of range and texts that contradict the model's.
void AddHfTokens(const HfAddedTokens& added, TokenizerSpec* spec);

}  // namespace quantspec
