// A full cache of floats whose older groups are rounded as a quantised cache would hold them: for
// comparing ways to quantise, not for speed. [quantspec, table 3; kivi]
#pragma once

#include <vector>

#include "cache/full_cache.h"

namespace quantspec {

// What shares a scale and a zero: the channels of one token and head, or one channel of the tokens
// of a group.
enum class QuantAxis { kToken, kChannel };

struct QuantAxes {
  QuantAxis keys = QuantAxis::kChannel;
  QuantAxis values = QuantAxis::kToken;
  int bits = 4;  // 1 to 8; codes of a plain asymmetric quantisation, scales and zeros are floats
};

// Rounds `count` values, `stride` apart, to 2^bits levels between the smallest and the largest.
void RoundToLevels(float* values, int64_t count, int64_t stride, int bits);

class RoundedCache : public FullCache {
 public:
  // spec.kind is kFull, spec.dense_type kF32. The newest 128 to 255 tokens are not rounded.
  RoundedCache(const KvCacheSpec& spec, const QuantAxes& axes, const Backend& backend);

  void Commit(Backend& backend, RowKind kind) override;
  void Rewind(int length) override;
  // Tokens that are rounded.
  int rounded() const { return rounded_; }

 private:
  void RoundGroup(Backend& backend, const DenseSegment& segment, int first);

  QuantAxes axes_;
  int rounded_ = 0;
  std::vector<float> k_, v_;  // [kKvGroup][kv_heads * head_dim]
  DeviceMemory staging_;      // both of them
};

}  // namespace quantspec
