// Tensors of Hugging Face folders whose weights are quantised.
#pragma once

#include <vector>

#include "formats/hf_quant.h"
#include "formats/hf_tensors.h"
#include "formats/loaded_model.h"
#include "io/safetensors_file.h"

namespace quantspec {

// All tensors of `files`; those of one quantised matrix become one. Throws Error: kCorrupt,
// kUnsupported.
std::vector<SourceTensor> MakeHfTensors(const std::vector<SafetensorsFile>& files,
                                        const HfQuant& quant, const HfNames& names);

}  // namespace quantspec
