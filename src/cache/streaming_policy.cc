#include "cache/streaming_policy.h"

#include <algorithm>

namespace quantspec {

uint64_t StreamingPolicy::Bytes(const DraftPolicySpec& spec, const Backend& backend) {
  return GatheredBytes(spec, backend, kSinks);
}

StreamingPolicy::StreamingPolicy(const DraftPolicySpec& spec, const Backend& backend)
    : RowPolicy(spec, backend, kSinks, Bytes(spec, backend)) {}

RowPolicy::Kept StreamingPolicy::KeptOf(const KvView& target) const {
  // Where there are sealed groups, the dense tail is read anyway.
  const int64_t tokens = spec().is_sealed ? target.Groups() * kKvGroup : target.Tokens();
  const int64_t window = std::max(DraftRows(spec().draft, tokens) - kSinks, kSinks);
  const int64_t step = spec().is_sealed ? int64_t{kKvGroup} : kDenseRows;
  const int64_t direct = std::max<int64_t>(tokens - window, 0) / step * step;
  if (direct <= kSinks) return {};
  return {kSinks, direct};
}

void StreamingPolicy::BeginStep(Backend& backend, const PolicyStep& step) {
  if (step.reader != Reader::kDraft || has_sinks_ || KeptOf(step.view(0)).direct == 0) return;
  for (int layer = 0; layer < spec().layers; ++layer) {
    GatherRange(backend, layer, step.view(layer), 0, kSinks, 0);
  }
  has_sinks_ = true;
}

void StreamingPolicy::Rewind(int length) {
  if (length < kSinks) has_sinks_ = false;
}

}  // namespace quantspec
