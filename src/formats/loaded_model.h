// What every kind of model file becomes: all that the rest of the engine knows of files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "base/view.h"
#include "formats/model_config.h"
#include "quant/hq8.h"
#include "quantspec/error.h"
#include "quantspec/types.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

// Codes of a tensor that can be kept as they are: planes of HQ8.
struct SourceCodes {
  int bits = 0;   // 0: none; 4: the upper plane; 8: both planes
  int group = 0;  // values of a row that share a scale: 32, 64 or 128
};

// Reads the values of one tensor. Threads may read at once; reading allocates nothing. Throws
// Error: kIo for a file that cannot be read or was cut, kCorrupt for values or scales that are not
// finite; both name the file.
class TensorReader {
 public:
  virtual ~TensorReader() = default;
  // Rows [first, first + out.rows) as floats; rows of `out` are neighbours.
  virtual void Decode(int64_t first, Rows out) const = 0;
  virtual SourceCodes codes() const { return {}; }
  // Codes and scales of rows [first, first + rows), in the order of HqRows. Only where codes() has
  // bits; `lower` is not written with 4 of them.
  virtual void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t* lower,
                      GroupScale* scales) const;
};

// Names are our own, the same for every source. `N` is a layer; a bias is its layer's name with
// ".bias" behind.
//
//   embedding             [vocab, hidden]
//   layers.N.attn_norm, .ffn_norm            [hidden], unless NormPlace::kAfter
//   layers.N.attn_post_norm, .ffn_post_norm  [hidden], unless NormPlace::kBefore
//   layers.N.attn.q       [q_heads * head_dim, hidden]
//   layers.N.attn.k, .v   [kv_heads * head_dim, hidden]
//   layers.N.attn.q_norm, .k_norm   as QkNorm says: [head_dim], or as wide as q and k
//   layers.N.attn.o       [hidden, q_heads * head_dim]
//   layers.N.ffn.gate, .up   [ffn, hidden]
//   layers.N.ffn.down     [hidden, ffn]
//   final_norm            [hidden]
//   head                  [vocab, hidden]; without it the embedding is the head
struct SourceTensor {
  std::string name;            // empty: no part of the forward pass
  std::string source_name;     // in the source
  std::string stored_as;       // in the source, for display: "Q4_1"
  std::vector<int64_t> shape;  // slowest first
  uint64_t bytes = 0;          // in the source
  std::shared_ptr<const TensorReader> reader;

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t columns() const { return shape.back(); }
};

struct LoadedModel {
  std::string name;  // begins messages: the path, or the shape of random weights
  // What the tensors are read from; with `metadata` they tell models apart.
  std::vector<std::shared_ptr<const InputFile>> files;
  ModelConfig config;
  std::vector<SourceTensor> tensors;  // sorted by name; SortTensors
  std::optional<TokenizerSpec> tokenizer;
  std::optional<Error> no_tokenizer;  // why `tokenizer` is empty
  std::optional<std::string> chat_template;
  // Others by name, e.g. "tool_use".
  std::vector<std::pair<std::string, std::string>> named_chat_templates;
  SamplingAdvice sampling;
  std::vector<std::pair<std::string, std::string>> metadata;  // (key, printable value)
  std::vector<std::string> warnings;                          // what was guessed; for the user
  // What the source calls a tensor of ours.
  std::function<std::string(std::string_view name)> name_in_source;

  void SortTensors();
  const SourceTensor* Find(std::string_view name) const;  // null if absent
};

}  // namespace quantspec
