// What the tests of linear layers share: matrices in logical and packed form, rows and calls.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/backend.h"

namespace quantspec {

// What memory holds where nothing was written.
inline constexpr float kSentinel = -12345.0f;

struct MatMulCase {
  WeightFormat format;
  Planes planes;
  int group;
};

inline std::string NameOf(const MatMulCase& c) {
  if (c.format == WeightFormat::kF32) return "f32";
  if (c.format == WeightFormat::kBf16) return "bf16";
  return std::string(c.format == WeightFormat::kHq4 ? "hq4" : "hq8") +
         (c.planes == Planes::kUpper ? "_upper_g" : "_both_g") + std::to_string(c.group);
}

inline float Noise(uint64_t stream, uint64_t index) {
  return static_cast<float>(2 * RandomUniform(7, stream, index) - 1);
}

// A matrix in logical and in packed form. Group 3 of every row (if there is one) is constant.
struct Matrix {
  WeightSpec spec;
  std::vector<float> values;  // dense formats, as the format stores them
  std::vector<uint8_t> upper, lower;
  std::vector<GroupScale> scales;
  Buffer memory;
  PackedWeight packed;

  Matrix(const Backend& backend, WeightSpec s, uint64_t seed) : spec(s) {
    const size_t count = static_cast<size_t>(spec.outputs * spec.inputs);
    std::vector<float> source(count);
    for (size_t i = 0; i < count; ++i) source[i] = Noise(seed, i) * 0.3f + 0.02f;
    const WeightBytes bytes = backend.SizeOf(spec);
    memory = Buffer(bytes.upper + bytes.lower);
    packed = {spec, memory.data(), bytes.lower > 0 ? memory.data() + bytes.upper : nullptr};
    const ConstRows rows(source.data(), spec.outputs, spec.inputs);
    if (spec.format == WeightFormat::kF32 || spec.format == WeightFormat::kBf16) {
      values = source;
      if (spec.format == WeightFormat::kBf16) {
        for (float& v : values) v = FloatFromBf16(Bf16FromFloat(v));
      }
      backend.PackDense(rows, 0, packed);
      return;
    }
    for (int64_t o = 0; o < spec.outputs; ++o) {
      for (int64_t i = 3 * spec.group; i < std::min<int64_t>(4 * spec.group, spec.inputs); ++i) {
        source[static_cast<size_t>(o * spec.inputs + i)] = 0.25f;
      }
    }
    upper.resize(count);
    lower.resize(count);
    scales.resize(count / static_cast<size_t>(spec.group));
    EncodeRows(rows, spec.group, upper.data(), lower.data(), scales.data());
    HqRows logical{spec.outputs, spec.inputs, spec.group, upper, lower, scales};
    if (spec.format == WeightFormat::kHq4) logical.lower = {};
    backend.PackQuantized(logical, 0, packed);
  }

  bool quantized() const { return values.empty(); }
  GroupScale ScaleAt(int64_t o, int64_t i) const {
    return scales[static_cast<size_t>((o * spec.inputs + i) / spec.group)];
  }
  double ValueAt(int64_t o, int64_t i, Planes planes) const {
    const size_t at = static_cast<size_t>(o * spec.inputs + i);
    return quantized() ? DecodeValue(ScaleAt(o, i), upper[at], lower[at], planes) : values[at];
  }
};

inline std::vector<float> RandomRows(int64_t rows, int64_t inputs) {
  std::vector<float> x(static_cast<size_t>(rows * inputs));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = Noise(99, i) * (1.0f + 20.0f * static_cast<float>(RandomBits(7, 98, i) % 37 == 0));
  }
  return x;
}

inline std::unique_ptr<Backend> MakeBackend(ThreadPool& pool, std::string_view isa, int64_t rows,
                                            int64_t inputs) {
  std::unique_ptr<Backend> backend = MakeCpuBackend(pool, isa);
  ScratchLimits limits;
  limits.rows = rows;
  limits.inputs = inputs;
  limits.positions = 128;
  limits.geometry = {1, 64};
  limits.q_heads = 1;
  limits.step_rows = rows;
  backend->Reserve(limits);
  return backend;
}

inline std::vector<float> Multiply(Backend& backend, const Matrix& m, Planes planes, const float* x,
                                   int64_t rows, Activations activations = Activations::kInt8) {
  std::vector<float> y(static_cast<size_t>(rows * m.spec.outputs), kSentinel);
  Product product;
  product.weight = &m.packed;
  product.planes = planes;
  product.y = Rows(y.data(), rows, m.spec.outputs);
  backend.MatMul(ConstRows(x, rows, m.spec.inputs), {&product, 1}, activations);
  return y;
}

inline constexpr MatMulCase kMatMulCases[] = {
    {WeightFormat::kF32, Planes::kBoth, 0},    {WeightFormat::kBf16, Planes::kBoth, 0},
    {WeightFormat::kHq4, Planes::kUpper, 32},  {WeightFormat::kHq4, Planes::kUpper, 64},
    {WeightFormat::kHq4, Planes::kUpper, 128}, {WeightFormat::kHq8, Planes::kBoth, 32},
    {WeightFormat::kHq8, Planes::kBoth, 64},   {WeightFormat::kHq8, Planes::kBoth, 128},
    {WeightFormat::kHq8, Planes::kUpper, 32},
};

using MatMulParam = std::tuple<std::string_view, MatMulCase>;
class EachMatMulCase : public testing::TestWithParam<MatMulParam> {
 protected:
  std::string_view isa() const { return std::get<0>(GetParam()); }
  const MatMulCase& c() const { return std::get<1>(GetParam()); }
};
inline auto AllMatMulCases() {
  return testing::Combine(testing::ValuesIn(AvailableIsas().begin(), AvailableIsas().end()),
                          testing::ValuesIn(kMatMulCases));
}
inline std::string NameOfParam(const testing::TestParamInfo<MatMulParam>& test) {
  return std::string(std::get<0>(test.param)) + "_" + NameOf(std::get<1>(test.param));
}

}  // namespace quantspec
