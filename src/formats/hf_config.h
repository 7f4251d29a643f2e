// config.json of a Hugging Face folder, as transformers 4 and 5 write it.
#pragma once

#include <string>

#include "formats/json_tree.h"
#include "formats/model_config.h"

namespace quantspec {

struct HfConfig {
  ModelConfig model;
  bool is_tied = false;        // the embedding is the head
  bool norms_add_one = false;  // to their weight
  bool is_nested = false;      // the text part of a checkpoint that has others
};

// `file` begins messages. Throws Error: kCorrupt, and kUnsupported by the name of what is missing.
HfConfig ReadHfConfig(const JsonTree& tree, const std::string& file);

}  // namespace quantspec
