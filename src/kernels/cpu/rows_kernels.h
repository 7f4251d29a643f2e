// Operations on whole rows, one row a call: norms, RoPE, the gated activation.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace quantspec::cpu {

struct RowsKernels {
  // out = x / sqrt(mean(x^2) + epsilon) * weight, `count` values; in place allowed.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t count, float* out);
  // Rotates one token's heads by its row of the table, [rotated / 2] pairs of cosine and sine.
  void (*rope)(float* x, const float* table, int heads, int head_dim, int rotated,
               RopeLayout layout);
  // out = activation(gate) * up, `count` values; in place allowed.
  void (*silu_gate)(const float* gate, const float* up, int64_t count, float* out);
  void (*gelu_gate)(const float* gate, const float* up, int64_t count, float* out);
  // out[i] = the largest of values kPackRows i and the following, -infinity in place of NaN.
  void (*pack_maxima)(const float* x, int64_t count, float* out);
  // x *= factor.
  void (*scale)(float* x, float factor, int64_t count);
  // sum += factor * x.
  void (*add_scaled)(const float* x, float factor, int64_t count, float* sum);
  // x = cap * tanh(x / cap).
  void (*soft_cap)(float* x, float cap, int64_t count);
};

}  // namespace quantspec::cpu
