#include "kernels/reference/reference_backend.h"

#include <cmath>
#include <numbers>

namespace quantspec {

size_t ReferenceBackend::ScratchBytes(const ScratchLimits& limits) const {
  return static_cast<size_t>(RoundUp(limits.positions * int64_t{sizeof(double)}, 64));
}

void ReferenceBackend::Reserve(const ScratchLimits& limits) {
  scores_ = Buffer(ScratchBytes(limits));
}

// -------------------------------------------------------------------------------- weights

namespace {

GroupScale* ScalesOf(const PackedWeight& weight) {
  return reinterpret_cast<GroupScale*>(weight.upper + weight.spec.outputs * weight.spec.inputs);
}

float WeightAt(const PackedWeight& weight, Planes planes, int64_t output, int64_t input) {
  const WeightSpec& spec = weight.spec;
  const int64_t index = output * spec.inputs + input;
  switch (spec.format) {
    case WeightFormat::kF32:
      return reinterpret_cast<const float*>(weight.upper)[index];
    case WeightFormat::kBf16:
      return FloatFromBf16(reinterpret_cast<const Bf16*>(weight.upper)[index]);
    case WeightFormat::kHq4:
      planes = Planes::kUpper;
      break;
    case WeightFormat::kHq8:
      break;
  }
  const auto upper = static_cast<uint8_t>(weight.upper[index]);
  const auto lower =
      planes == Planes::kBoth ? static_cast<uint8_t>(weight.lower[index]) : uint8_t{0};
  return DecodeValue(ScalesOf(weight)[index / spec.group], upper, lower, planes);
}

}  // namespace

WeightBytes ReferenceBackend::SizeOf(const WeightSpec& spec) const {
  const int64_t values = spec.outputs * spec.inputs;
  const auto padded = [](int64_t bytes) { return static_cast<size_t>(RoundUp(bytes, 64)); };
  switch (spec.format) {
    case WeightFormat::kF32:
      return {padded(values * 4), 0};
    case WeightFormat::kBf16:
      return {padded(values * 2), 0};
    case WeightFormat::kHq4:
    case WeightFormat::kHq8:
      break;
  }
  const size_t upper = padded(values + values / spec.group * int64_t{sizeof(GroupScale)});
  return {upper, spec.format == WeightFormat::kHq8 ? padded(values) : 0};
}

void ReferenceBackend::DoPackQuantized(const HqRows& rows, int64_t first_output,
                                       const PackedWeight& weight) const noexcept {
  const WeightSpec& spec = weight.spec;
  const int64_t first = first_output * spec.inputs;
  for (int64_t i = 0; i < rows.rows * rows.inputs; ++i) {
    weight.upper[first + i] = std::byte{rows.upper[i]};
    if (spec.format == WeightFormat::kHq8) weight.lower[first + i] = std::byte{rows.lower[i]};
  }
  for (int64_t i = 0; i < rows.rows * rows.inputs / spec.group; ++i) {
    ScalesOf(weight)[first / spec.group + i] = rows.scales[i];
  }
}

void ReferenceBackend::DoPackDense(ConstRows rows, int64_t first_output,
                                   const PackedWeight& weight) const noexcept {
  for (int64_t r = 0; r < rows.rows; ++r) {
    for (int64_t i = 0; i < rows.columns; ++i) {
      const int64_t index = (first_output + r) * rows.columns + i;
      if (weight.spec.format == WeightFormat::kF32) {
        reinterpret_cast<float*>(weight.upper)[index] = rows.Row(r)[i];
      } else {
        reinterpret_cast<Bf16*>(weight.upper)[index] = Bf16FromFloat(rows.Row(r)[i]);
      }
    }
  }
}

void ReferenceBackend::DoMatMul(ConstRows x, std::span<const Product> products,
                                Activations) noexcept {
  for (const Product& product : products) {
    const PackedWeight& weight = *product.weight;
    const int64_t last = product.first_output + product.OutputCount();
    for (int64_t output = product.first_output; output < last; ++output) {
      for (int64_t row = 0; row < x.rows; ++row) {
        double sum = product.bias != nullptr ? product.bias[output] : 0.0;
        for (int64_t i = 0; i < x.columns; ++i) {
          sum += double{x.Row(row)[i]} * WeightAt(weight, product.planes, output, i);
        }
        float& y = product.y.Row(row)[output];
        if (product.accumulate == Accumulate::kYes) sum += y;
        y = static_cast<float>(sum);
        if (product.maxima.data == nullptr) continue;
        float& largest = product.maxima.Row(row)[output / kPackRows];
        if (output % kPackRows == 0) largest = -INFINITY;
        if (y > largest) largest = y;
      }
    }
  }
}

// ----------------------------------------------------------------------------------- rows

void ReferenceBackend::DoRotate(Rows x, int heads, const Rotation& rotation,
                                int64_t first_position) noexcept {
  const int64_t head_dim = x.columns / heads;
  const int half = rotation.rotated / 2;
  const bool pairs = rotation.layout == RopeLayout::kPairs;
  for (int64_t row = 0; row < x.rows; ++row) {
    const float* angles = rotation.table + (first_position + row) * rotation.rotated;
    for (int head = 0; head < heads; ++head) {
      float* values = x.Row(row) + head * head_dim;
      for (int i = 0; i < half; ++i) {
        float& a = pairs ? values[2 * i] : values[i];
        float& b = pairs ? values[2 * i + 1] : values[i + half];
        const double cosine = angles[2 * i];
        const double sine = angles[2 * i + 1];
        const double rotated_a = a * cosine - b * sine;
        const double rotated_b = a * sine + b * cosine;
        a = static_cast<float>(rotated_a);
        b = static_cast<float>(rotated_b);
      }
    }
  }
}

void ReferenceBackend::DoRmsNorm(ConstRows x, const float* weight, float epsilon,
                                 Rows out) noexcept {
  for (int64_t row = 0; row < x.rows; ++row) {
    double squares = 0.0;
    for (int64_t i = 0; i < x.columns; ++i) squares += double{x.Row(row)[i]} * x.Row(row)[i];
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(x.columns) + epsilon);
    for (int64_t i = 0; i < x.columns; ++i) {
      out.Row(row)[i] = static_cast<float>(x.Row(row)[i] * factor * weight[i]);
    }
  }
}

namespace {

double Activated(double gate, Activation activation) {
  if (activation == Activation::kSilu) return gate / (1.0 + std::exp(-gate));
  const double inner = std::sqrt(2 / std::numbers::pi) * (gate + 0.044715 * gate * gate * gate);
  return gate / 2 * (1.0 + std::tanh(inner));
}

}  // namespace

void ReferenceBackend::DoGatedActivation(ConstRows gate, ConstRows up, Rows out,
                                         Activation activation) noexcept {
  for (int64_t row = 0; row < gate.rows; ++row) {
    for (int64_t i = 0; i < gate.columns; ++i) {
      out.Row(row)[i] =
          static_cast<float>(Activated(gate.Row(row)[i], activation) * up.Row(row)[i]);
    }
  }
}

void ReferenceBackend::DoScale(Rows x, float factor) noexcept {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t i = 0; i < x.columns; ++i) x.Row(row)[i] *= factor;
  }
}

void ReferenceBackend::DoAddScaled(ConstRows x, float factor, Rows sum) noexcept {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t i = 0; i < x.columns; ++i) {
      sum.Row(row)[i] = static_cast<float>(sum.Row(row)[i] + double{factor} * x.Row(row)[i]);
    }
  }
}

void ReferenceBackend::DoSoftCap(Rows x, float cap) noexcept {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t i = 0; i < x.columns; ++i) {
      x.Row(row)[i] = static_cast<float>(cap * std::tanh(double{x.Row(row)[i]} / cap));
    }
  }
}

std::unique_ptr<Backend> MakeReferenceBackend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace quantspec
