// Random data for timing single operations, in as many copies as no cache holds.
#pragma once

#include <optional>
#include <vector>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "model/weights.h"

namespace quantspec {

// [rows, columns] values between -1 and 1, the same for every call.
Buffer RandomRows(int64_t rows, int64_t columns);

// One packed weight of random values, copied often enough to be cold.
class ColdWeights {
 public:
  ColdWeights(const WeightSpec& spec, size_t copies, const Backend& backend);
  const PackedWeight& at(size_t copy) const { return weights_[copy]; }

 private:
  void Pack(const Backend& backend) const;

  Buffer memory_;
  std::vector<PackedWeight> weights_;
};

// A linear layer in as many copies, with the weights that one reader of it needs.
class ColdLinear {
 public:
  ColdLinear(const TensorPlan& plan, Reader reader, size_t copies, const Backend& backend);
  Linear at(size_t copy) const;

 private:
  const TensorPlan& plan_;
  std::optional<ColdWeights> draft_, target_;
};

}  // namespace quantspec
