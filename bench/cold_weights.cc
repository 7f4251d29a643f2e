#include "bench/cold_weights.h"

#include <algorithm>

#include "base/random.h"
#include "quant/hq8.h"

namespace quantspec {
namespace {

constexpr uint64_t kSeed = 1;

}  // namespace

Buffer RandomRows(int64_t rows, int64_t columns) {
  const auto count = static_cast<size_t>(rows * columns);
  Buffer buffer(count * sizeof(float));
  float* values = buffer.As<float>();
  for (size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(2 * RandomUniform(kSeed, 0, i) - 1);
  }
  return buffer;
}

ColdWeights::ColdWeights(const WeightSpec& spec, size_t copies, const Backend& backend) {
  const WeightBytes bytes = backend.SizeOf(spec);
  const size_t stride = bytes.upper + bytes.lower;
  memory_ = Buffer(stride * copies);
  for (size_t copy = 0; copy < copies; ++copy) {
    PackedWeight weight;
    weight.spec = spec;
    weight.upper = memory_.data() + copy * stride;
    weight.lower = bytes.lower > 0 ? weight.upper + bytes.upper : nullptr;
    weights_.push_back(weight);
  }
  Pack(backend);
  for (size_t copy = 1; copy < copies; ++copy) {
    std::copy_n(memory_.data(), stride, memory_.data() + copy * stride);
  }
}

void ColdWeights::Pack(const Backend& backend) const {
  const PackedWeight& weight = weights_.front();
  const WeightSpec& spec = weight.spec;
  const auto inputs = static_cast<size_t>(spec.inputs);
  for (int64_t first = 0; first < spec.outputs; first += kPackRows) {
    const int64_t rows = std::min(kPackRows, spec.outputs - first);
    const Buffer values = RandomRows(rows, spec.inputs);
    const ConstRows x(values.As<float>(), rows, spec.inputs);
    if (spec.group == 0) {
      backend.PackDense(x, first, weight);
      continue;
    }
    const size_t count = static_cast<size_t>(rows) * inputs;
    std::vector<uint8_t> upper(count), lower(count);
    std::vector<GroupScale> scales(count / static_cast<size_t>(spec.group));
    EncodeRows(x, spec.group, upper.data(), lower.data(), scales.data());
    HqRows codes{rows, spec.inputs, spec.group, upper, lower, scales};
    if (spec.format == WeightFormat::kHq4) codes.lower = {};
    backend.PackQuantized(codes, first, weight);
  }
}

ColdLinear::ColdLinear(const TensorPlan& plan, Reader reader, size_t copies, const Backend& backend)
    : plan_(plan) {
  if (reader == Reader::kDraft && plan.has_draft_copy) {
    draft_.emplace(plan.draft, copies, backend);
  }
  if (!draft_ || plan.is_refined) target_.emplace(plan.target, copies, backend);
}

Linear ColdLinear::at(size_t copy) const {
  Linear linear;
  if (target_) linear.target = target_->at(copy);
  linear.draft = draft_ ? draft_->at(copy) : linear.target;
  linear.draft_planes = plan_.draft_planes;
  linear.is_refined = plan_.is_refined;
  return linear;
}

}  // namespace quantspec
