// How the authors of a model advise to sample from it.
#pragma once

#include <string>
#include <vector>

#include "formats/json_tree.h"
#include "io/gguf.h"
#include "quantspec/types.h"

namespace quantspec {

// Of a generation_config.json; `file` begins messages. Without `do_sample` a temperature means
// sampling; its penalty counts all tokens. Values out of range are left out with a warning.
SamplingAdvice ReadHfSampling(const JsonTree& generation, const std::string& file,
                              std::vector<std::string>* warnings);
// Of the keys general.sampling.*.
SamplingAdvice ReadGgufSampling(const Gguf& file, std::vector<std::string>* warnings);

}  // namespace quantspec
