// What a model is: its shapes and constants, whatever file they were read from. Families differ by
// this data, not by branches in the forward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

enum class RopeScaling : uint8_t { kNone, kLinear, kLlama3, kYarn };

struct RopeConfig {
  RopeLayout layout = RopeLayout::kPairs;
  int rotated = 0;  // channels a head
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;                               // of context extension
  int original_context = 0;                          // kLlama3, kYarn
  double attention_factor = 1.0;                     // kYarn: extra factor on cosine and sine
  double beta_fast = 32.0, beta_slow = 1.0;          // kYarn
  double low_frequency = 1.0, high_frequency = 4.0;  // kLlama3
  std::vector<float> divisors;                       // of each pair's frequency; may be empty
};

// Queries and keys before RoPE.
enum class QkNorm : uint8_t {
  kNone,
  kPerHead,  // RMS norm of every head (qwen3)
};

// What multiplies the up projection in the feed-forward network.
enum class Activation : uint8_t { kSilu };

// What layers of one kind have in common. Every linear layer may have a bias.
struct LayerClass {
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int ffn = 0;
  RopeConfig rope;
  QkNorm qk_norm = QkNorm::kNone;
  Activation activation = Activation::kSilu;
  float epsilon = 1e-5f;  // of its RMS norms
  int QueryWidth() const { return q_heads * head_dim; }
  int KvWidth() const { return kv_heads * head_dim; }
};

struct ModelConfig {
  ModelInfo info;
  int tokens = 0;  // ids [0, tokens) have a text; the embedding's rows up to info.vocab have none
  std::vector<LayerClass> classes;
  std::vector<uint8_t> class_of_layer;  // [layers]
  float final_epsilon = 1e-5f;          // of the RMS norm before the head

  int ClassOf(int layer) const { return class_of_layer[static_cast<size_t>(layer)]; }
  const LayerClass& layer(int index) const { return classes[static_cast<size_t>(ClassOf(index))]; }
};

// A model whose layers are all of one class, with the heads and widths that `info` names. Every
// row of the embedding is a token.
ModelConfig UniformConfig(const ModelInfo& info, LayerClass layer);

}  // namespace quantspec
