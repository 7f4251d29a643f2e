// How the weights of a Hugging Face folder are quantised.
#pragma once

#include <cstdint>
#include <string>

#include "formats/json_tree.h"

namespace quantspec {

struct HfQuant {
  enum class Method : uint8_t { kNone, kCompressedTensors, kMlx, kFp8, kAwq, kGptq };
  Method method = Method::kNone;
  std::string name;           // for messages: "compressed-tensors pack-quantized"
  int bits = 0;               // compressed-tensors, AWQ, GPTQ
  int64_t group = 0;          // MLX, AWQ, GPTQ; -1: all inputs
  bool is_symmetric = false;  // GPTQ: zeros are the middle code, whatever the file holds
  int zero_offset = 0;        // GPTQ: of zeros above what is stored
};

// From config.json. Throws Error: kCorrupt, and kUnsupported by the name of the method or of what
// it asks for.
HfQuant ReadHfQuant(const JsonTree& config, const std::string& file);

}  // namespace quantspec
