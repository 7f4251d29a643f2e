// What the rows of a sequence give its tokens, for one instruction set. Rows are those of attention
// (attention_kernels.h); states are SoftmaxStates without values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention_kernels.h"

namespace quantspec::cpu {

// One tile of tokens of one KV head.
struct WeighWork {
  const float* q;  // as AttentionKernels::pack_tiles packs it
  int head_dim;
  int gqa;
  KvType type;
  const std::byte* keys;  // of whole blocks of 16 tokens
  int tokens;             // 1 to kDenseTile
  int64_t seen;           // tokens that the first rows see; the next token's rows see one more
  float softcap;          // of scores in base 2; 0: none
  float* converted;       // [kDenseTile][head_dim], for its own use
  float* weights;         // out: [rows][kDenseTile] 2^(score - max)
  SoftmaxState state;     // out, of this tile alone
};

// What becomes of the weights once the softmax of all tokens is known.
struct ShareWork {
  const float* weights;
  SoftmaxState part;  // of the tile; its sums are overwritten
  SoftmaxState total;
  int gqa;
  int tokens;     // 1 to kDenseTile
  float* masses;  // out: [gqa][tokens]
  int64_t stride;
};

struct WeighKernels {
  void (*weigh)(const WeighWork& work);
  void (*share)(const ShareWork& work);
};

}  // namespace quantspec::cpu
