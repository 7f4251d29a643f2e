// The memory that a transformer works in: which rows there are, and how large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/view.h"
#include "formats/model_config.h"
#include "kernels/backend.h"
#include "model/transformer.h"

namespace quantspec {

// Takes memory in pieces of rows; with null memory it only counts.
class Carver {
 public:
  explicit Carver(std::byte* memory) : memory_(memory) {}
  Rows Take(int64_t rows, int64_t columns);
  size_t bytes() const { return bytes_; }

 private:
  std::byte* memory_;
  size_t bytes_ = 0;
};

// Members as Transformer has them.
struct DeviceRows {
  Rows hidden, normed, q, k, v, attended, gate, up, logits, maxima;
  std::vector<Rows> rope;  // of each layer class
};
DeviceRows CarveDevice(const ModelConfig& config, TransformerLimits limits, Carver& carver);

struct HostRows {
  Rows embedded, logits, maxima;
};
HostRows CarveHost(const ModelConfig& config, TransformerLimits limits, bool device_is_host,
                   Carver& carver);

// The largest calls that a transformer makes.
ScratchLimits BackendLimits(const ModelConfig& config, TransformerLimits limits);

}  // namespace quantspec
