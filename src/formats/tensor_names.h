// The names of a container's tensors, translated to ours and back.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quantspec {

// A name without its layer and its ".weight" or ".bias".
struct TensorNamePair {
  std::string_view theirs, ours;
};

struct TensorNames {
  std::string_view layer;  // what stands before the number of a layer, e.g. "blk."
  std::span<const TensorNamePair> of_model;
  std::span<const TensorNamePair> of_layer;

  // "layers.3.attn.q" for "blk.3.attn_q.weight"; nothing for a name that is none of these.
  std::optional<std::string> ToOurs(std::string_view name) const;
  // The other way round, for one of our names.
  std::string ToTheirs(std::string_view name) const;
};

}  // namespace quantspec
