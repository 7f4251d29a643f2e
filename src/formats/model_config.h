// What a model is: its shapes and constants, whatever file they were read from. Families differ by
// this data, not by branches in the forward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

enum class RopeScaling : uint8_t { kNone, kLinear, kLlama3, kYarn, kLongRope };

struct RopeConfig {
  RopeLayout layout = RopeLayout::kPairs;
  int rotated = 0;  // channels a head; 0: no RoPE
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;            // of context extension
  int original_context = 0;       // kLlama3, kYarn, kLongRope
  double attention_factor = 1.0;  // on cosine and sine: kYarn's extra one, kLongRope's whole one
  double beta_fast = 32.0, beta_slow = 1.0;          // kYarn
  double low_frequency = 1.0, high_frequency = 4.0;  // kLlama3
  std::vector<float> divisors;                       // of each pair's frequency; may be empty
  std::vector<float> long_divisors;  // kLongRope: instead, for contexts above the original one

  // Whether sequences of at most `context` tokens read `long_divisors`.
  bool ReadsLong(int context) const { return !long_divisors.empty() && context > original_context; }
  bool operator==(const RopeConfig&) const = default;
};

// Queries and keys before RoPE.
enum class QkNorm : uint8_t {
  kNone,
  kPerHead,  // RMS norm of every head
  kWhole,    // RMS norm of all heads together
};

// The RMS norms of each half of a layer: of what it reads, of what it adds, or both.
enum class NormPlace : uint8_t { kBefore, kAfter, kBoth };

// Queries grow with their position p by 1 + beta ln(1 + floor(p / period)).
struct QueryGrowth {
  double beta = 0;  // 0: they do not
  int period = 1;   // tokens

  bool operator==(const QueryGrowth&) const = default;
};

// What layers of one kind have in common. Every linear layer may have a bias.
struct LayerClass {
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int ffn = 0;
  RopeConfig rope;
  int window = 0;               // tokens a query sees, itself included; 0 = all of the context
  float attention_softcap = 0;  // 0 = none
  float attention_scale = 0;    // of scores; 0: 1 / sqrt(head_dim)
  QueryGrowth query_growth;
  QkNorm qk_norm = QkNorm::kNone;
  NormPlace norms = NormPlace::kBefore;
  Activation activation = Activation::kSilu;
  float epsilon = 1e-5f;        // of its RMS norms
  float residual_scale = 1.0f;  // of what each half adds

  int QueryWidth() const { return q_heads * head_dim; }
  int KvWidth() const { return kv_heads * head_dim; }
  float ScoreScale() const;
  bool operator==(const LayerClass&) const = default;
};

struct ModelConfig {
  ModelInfo info;
  int tokens = 0;  // ids [0, tokens) have a text; the embedding's rows up to info.vocab have none
  std::vector<LayerClass> classes;
  std::vector<uint8_t> class_of_layer;  // [layers]
  float final_epsilon = 1e-5f;          // of the RMS norm before the head
  float embedding_scale = 1.0f;         // of embedded tokens
  float logit_scale = 1.0f;             // of logits
  float logit_softcap = 0;              // logits count as cap * tanh(logit / cap); 0: as they are

  int ClassOf(int layer) const { return class_of_layer[static_cast<size_t>(layer)]; }
  const LayerClass& layer(int index) const { return classes[static_cast<size_t>(ClassOf(index))]; }
  // RopeConfig::ReadsLong of any layer.
  bool ReadsLongRope(int context) const;
  int WindowOf(int index) const { return layer(index).window; }
  // The windows of all layers as KvCacheSpec has them.
  std::vector<int> Windows() const;
};

// A model of these layers, info.layers of them, at least 1; equal ones become one class. Heads and
// widths are those that `info` names, the epsilon of its last norm is the first layer's, and a
// window that info.context never fills is none.
ModelConfig LayeredConfig(const ModelInfo& info, std::vector<LayerClass> layers);

// A model whose layers are all of one class, with the heads and widths that `info` names. Every
// row of the embedding is a token.
ModelConfig UniformConfig(const ModelInfo& info, LayerClass layer);

}  // namespace quantspec
