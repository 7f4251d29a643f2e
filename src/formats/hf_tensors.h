// Tensors of Hugging Face folders under our own names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "formats/loaded_model.h"
#include "formats/tensor_names.h"
#include "io/safetensors_file.h"

namespace quantspec {

// How a folder names its tensors.
class HfNames {
 public:
  // `is_nested`: names of the text part of a checkpoint that has others.
  explicit HfNames(NormPlace norms = NormPlace::kBefore, bool is_nested = false);

  // "layers.3.attn.q" for "model.layers.3.self_attn.q_proj.weight"; "" for what is no part of the
  // forward pass: tables of RoPE, other parts of the checkpoint; nothing for names that this build
  // does not know. Fused tensors are named as SplitFused expects them.
  std::optional<std::string> ToOurs(std::string_view name) const;
  // The other way round, as transformers 5 has it.
  std::string ToTheirs(std::string_view name) const;

 private:
  TensorNames names_;
  bool is_nested_;
};

// `tensor` of `file`. Throws Error{kUnsupported} for a name or dtype that this build does not know.
SourceTensor MakeHfTensor(const SafetensorsFile& file, const StTensor& tensor,
                          const HfNames& names);

}  // namespace quantspec
