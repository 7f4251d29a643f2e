// What stands around the model of a tokenizer.json: normalizer, pre-tokenizer, post-processor and
// decoder. [tokenizers]
#pragma once

#include <string>

#include "formats/json_tree.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

struct HfPipeline {
  JsonTree normalizer, pre_tokenizer, post_processor, decoder;  // null: none
};

// Fills the kind of `spec` and everything that the pipeline decides. Throws Error{kUnsupported} by
// the name of a part that this build does not have. `file` begins messages.
void ReadHfPipeline(const HfPipeline& pipeline, const std::string& file, TokenizerSpec* spec);

}  // namespace quantspec
