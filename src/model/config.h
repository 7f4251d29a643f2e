// What a model is: its shapes and constants, read from a GGUF file's metadata. Families differ by
// data in one table, not by branches in the forward pass.
#pragma once

#include <string>
#include <vector>

#include "io/gguf.h"
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
  std::vector<float> divisors;  // per pair; from a rope factor tensor; may be empty
};

struct ModelConfig {
  ModelInfo info;
  RopeConfig rope;
  float epsilon = 1e-5f;
  bool has_qk_norm = false;  // RMS norm of every query and key head before RoPE (qwen3)
  int QueryWidth() const { return info.q_heads * info.head_dim; }
  int KvWidth() const { return info.kv_heads * info.head_dim; }
};

// Reads and checks everything but the tensors. Throws Error: kCorrupt for missing or absurd
// values, kUnsupported (saying what is missing) for unknown architectures, sliding windows,
// mixtures of experts, soft-capping and RoPE scalings this build does not know.
ModelConfig ReadModelConfig(const Gguf& file);

// A known shape for measurements with random weights: "llama-3.2-1b", "llama-2-7b",
// "smollm2-135m", "qwen2.5-1.5b". Throws Error{kUsage} listing the names.
ModelConfig KnownShape(const std::string& name);

// Cosine and sine of every position and pair: [positions, rotated / 2, 2].
void FillRopeTable(const RopeConfig& rope, int64_t positions, float* table);

}  // namespace quantspec
