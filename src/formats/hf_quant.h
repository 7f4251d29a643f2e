// How the weights of a Hugging Face folder are quantised, and its tensors with that.
#pragma once

#include <string>
#include <vector>

#include "formats/json_tree.h"
#include "formats/loaded_model.h"
#include "io/safetensors_file.h"

namespace quantspec {

struct HfQuant {
  enum class Method : uint8_t { kNone, kCompressedTensors, kMlx, kFp8 };
  Method method = Method::kNone;
  std::string name;   // for messages: "compressed-tensors pack-quantized"
  int bits = 0;       // compressed-tensors
  int64_t group = 0;  // MLX
};

// From config.json. Throws Error: kCorrupt, and kUnsupported by the name of the method or of what
// it asks for.
HfQuant ReadHfQuant(const JsonTree& config, const std::string& file);

// All tensors of `files`; those of one quantised matrix become one. Throws Error: kCorrupt,
// kUnsupported.
std::vector<SourceTensor> MakeHfTensors(const std::vector<SafetensorsFile>& files,
                                        const HfQuant& quant);

}  // namespace quantspec
