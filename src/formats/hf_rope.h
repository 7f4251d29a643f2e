// Rotary position embeddings of a Hugging Face folder, as transformers 4 and 5 write them.
#pragma once

#include "formats/hf_families.h"
#include "formats/json_tree.h"
#include "formats/model_config.h"

namespace quantspec {

// Of layers with or without a window. Throws Error: kCorrupt, and kUnsupported for a scaling that
// this build does not know.
RopeConfig ReadHfRope(const JsonFields& config, const HfFamily& family, const ModelInfo& info,
                      bool has_window);

// How queries grow with their position.
QueryGrowth ReadHfQueryGrowth(const JsonFields& config, const ModelInfo& info);

}  // namespace quantspec
