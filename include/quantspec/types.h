// Plain values shared by the engine, sessions and programs. No behaviour lives here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace quantspec {

using Token = int32_t;

// How weights are stored; see docs/formats/hq8.md and docs/architecture.md.
enum class WeightMode {
  kAuto,    // 4-bit sources imported as they are, everything finer in HQ8 (two planes)
  kNested,  // HQ8 everywhere: the target reads both planes, the draft the upper one
  kBf16,    // bf16 for the target and a separate 4-bit copy for the draft (the paper's setting)
  kFloat,   // float32, draft and target alike; for reference and debugging
};

enum class CacheKind {
  kHierarchical,  // HQ8 groups and a dense 16-bit tail
  kFull,          // one dense segment: 16-bit, or float32 when weights are float32
};

// Which view of model and cache a step reads.
enum class Reader {
  kTarget,  // everything, both planes: what the output is defined by
  kDraft,   // the upper planes of what matters: cheaper, agrees with the target most of the time
};

// Values of SessionOptions::draft_context besides a number of tokens.
inline constexpr int kDraftContextAuto = -1;
inline constexpr int kDraftContextAll = 0x7fffffff;

// How drafted tokens are verified when temperature > 0 (greedy decoding needs neither).
enum class VerifyRule {
  kCoupled,    // shared Gumbel noise: the output is that of plain sampling, token for token
  kRejection,  // accept with min(1, p/q), else draw from the residual [leviathan2023]
};

enum class FinishReason {
  kStop,         // an end-of-text token or a stop text
  kLength,       // max_tokens reached, or the context is full
  kInterrupted,  // the caller asked to stop
};

struct MemoryBytes {
  uint64_t weights = 0;
  uint64_t cache = 0;    // of one session
  uint64_t scratch = 0;  // activations and kernel scratch of one session
  uint64_t total() const { return weights + cache + scratch; }
};

struct ModelInfo {
  std::string name;
  std::string architecture;
  int layers = 0;
  int hidden = 0;
  int ffn = 0;
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int vocab = 0;
  int context = 0;  // the most tokens the model was made for
};

struct TensorInfo {
  std::string name;
  std::string source_type;     // as in the file, e.g. "Q4_1"
  std::string stored_type;     // as the engine keeps it, e.g. "hq4 g32", "hq8 g64", "bf16"
  std::vector<int64_t> shape;  // slowest first
  uint64_t source_bytes = 0;
  uint64_t stored_bytes = 0;
};

// One operation of a backend at a model's shapes, timed over synthetic data.
struct OpTiming {
  std::string op;         // e.g. "matmul ffn_down target", "attend draft", "peak int8"
  int rows = 0;           // of the pass
  int depth = 0;          // tokens attended over; 0 where that plays no part
  double us = 0;          // median time of one call
  uint64_t bytes = 0;     // that it must read: weights or cache
  double operations = 0;  // additions and multiplications
  // The op, among those timed with it, that bounds its operations a second; empty: none. Peaks are
  // multiply-adds from registers: "peak int4" by codes of one plane, "peak int8" by those of both.
  std::string peak;
};

}  // namespace quantspec
