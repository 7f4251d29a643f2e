#include "model/transformer.h"

namespace quantspec {

uint64_t PromptRows::Bytes(int hidden) {
  return static_cast<uint64_t>(
      RoundUp(int64_t{kChunkTokens} * hidden * int64_t{sizeof(float)}, 64));
}

PromptRows::PromptRows(int hidden, const Backend& backend)
    : memory_(backend.Allocate(Bytes(hidden))), hidden_(hidden) {}

Rows PromptRows::Rows(int first, int count) const {
  return quantspec::Rows(reinterpret_cast<float*>(memory_.data()), kChunkTokens, hidden_)
      .Rows(first, count);
}

double PromptRows::Done(int layers) const {
  if (count_ == 0) return 0;
  return (layer_ + static_cast<double>(row_) / count_) / layers;
}

}  // namespace quantspec
