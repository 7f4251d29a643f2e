// Tensors of Hugging Face folders under our own names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "formats/loaded_model.h"
#include "io/safetensors_file.h"

namespace quantspec {

// "layers.3.attn.q" for "model.layers.3.self_attn.q_proj.weight"; "" for tables of RoPE, which are
// no weights of the forward pass; nothing for names that this build does not know.
std::optional<std::string> NameOfHf(std::string_view name);
// The other way round.
std::string HfNameOf(std::string_view name);

// `tensor` of `file`. Throws Error{kUnsupported} for a name or dtype that this build does not know.
SourceTensor MakeHfTensor(const SafetensorsFile& file, const StTensor& tensor);

}  // namespace quantspec
