// Tensors of GGUF files under our own names.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "formats/loaded_model.h"
#include "io/gguf_file.h"

namespace quantspec {

// "layers.3.attn.q" for "blk.3.attn_q.weight"; "" for tables of RoPE, which are no weights of the
// forward pass; nothing for names that this build does not know.
std::optional<std::string> NameOfGguf(std::string_view name);
// The other way round.
std::string GgufNameOf(std::string_view name);

// `tensor` of `file`. Throws Error{kUnsupported} for a name that this build does not know.
SourceTensor MakeGgufTensor(const GgufFile& file, const GgufTensor& tensor);

}  // namespace quantspec
