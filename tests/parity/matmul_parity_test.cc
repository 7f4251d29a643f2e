// MatMul of every instruction set against the reference, for every weight format.
#include <gtest/gtest.h>

#include <algorithm>

#include "parity/parity.h"

namespace quantspec::testing {
namespace {

// A matrix packed by one backend.
struct Packed {
  Buffer memory;
  PackedWeight weight;

  Packed(const Backend& backend, const WeightSpec& spec, const std::vector<float>& values) {
    const WeightBytes bytes = backend.SizeOf(spec);
    memory = Buffer(bytes.upper + bytes.lower);
    weight = {spec, memory.data(), bytes.lower > 0 ? memory.data() + bytes.upper : nullptr};
    const ConstRows rows(values.data(), spec.outputs, spec.inputs);
    if (spec.group == 0) {
      backend.PackDense(rows, 0, weight);
      return;
    }
    std::vector<uint8_t> upper(values.size()), lower(values.size());
    std::vector<GroupScale> scales(values.size() / static_cast<size_t>(spec.group));
    EncodeRows(rows, spec.group, upper.data(), lower.data(), scales.data());
    HqRows codes{spec.outputs, spec.inputs, spec.group, upper, {}, scales};
    if (spec.format == WeightFormat::kHq8) codes.lower = lower;
    backend.PackQuantized(codes, 0, weight);
  }
};

class MatMulParity : public Parity {
 protected:
  // Two neighbouring inputs have the same weight, 1 or -1, and both are 0.9 to 1.
  static void MakeAlike(std::vector<float>& values, std::vector<float>& x) {
    for (size_t i = 0; i + 1 < values.size(); i += 2) {
      values[i] = values[i + 1] = values[i] < 0 ? -1.0f : 1.0f;
    }
    for (float& value : x) value = 1.0f - 0.1f * std::min(std::abs(value) / 3.0f, 1.0f);
  }

  void Check(const WeightSpec& spec, Planes planes, int64_t rows, Accumulate accumulate,
             Activations activations = Activations::kInt8, bool alike = false) {
    Random random(static_cast<uint64_t>(spec.inputs * 100 + rows));
    std::vector<float> values = random.Normals(spec.outputs * spec.inputs, 0.5f);
    std::vector<float> x = random.Normals(rows * spec.inputs);
    if (alike) MakeAlike(values, x);
    const std::vector<float> bias = random.Normals(spec.outputs);
    const std::vector<float> before = random.Normals(rows * spec.outputs);
    Reserve({rows, spec.inputs, rows, 1, 16, {1, 16}, 1});
    const Packed fast(*cpu_, spec, values), plain(*reference_, spec, values);
    GuardedRows actual(rows, spec.outputs), expected(rows, spec.outputs);
    actual.Fill(before);
    expected.Fill(before);
    const Product product{&fast.weight, planes, bias.data(), actual.view(), accumulate};
    cpu_->MatMul(View(x, spec.inputs), {&product, 1}, activations);
    const Product same{&plain.weight, planes, bias.data(), expected.view(), accumulate};
    reference_->MatMul(View(x, spec.inputs), {&same, 1}, activations);

    const auto inputs = static_cast<double>(spec.inputs);
    // Magnitudes of normal x (mean 0.8) and weights (0.4), and of what is added.
    Tolerance tolerance = DotTolerance(inputs, 0.8 * 0.4 * inputs + 4.0);
    if (spec.format == WeightFormat::kBf16 || activations == Activations::kBf16) {
      tolerance = tolerance + HalfDotTolerance(inputs, 0.5);
    }
    if (spec.group > 0) {
      // Rows are rounded to 8 bits, or what is left of them (half a step at most) again to 8; a
      // weight's step is at most 7 sigmas of 0.5 over 15.
      // Alike, inputs may be rounded to half of that the first time (Words::Magnitude), and every
      // weight is 1 away from the middle, where CodeDotTolerance takes 16 / 6 steps.
      const int first_levels = alike ? 64 : 127;
      const double levels = activations != Activations::kInt16 ? 127 : first_levels * 254;
      const double step = alike ? 6.0 / 16 : 7.0 * 0.5 / 15;
      tolerance = tolerance + CodeDotTolerance(inputs, Largest(x), levels, step);
    }
    ExpectMatch(actual.Packed(), expected.Packed(), tolerance,
                "format " + std::to_string(static_cast<int>(spec.format)) + ", " +
                    std::to_string(rows) + " rows, " + std::to_string(spec.outputs) + " x " +
                    std::to_string(spec.inputs));
    EXPECT_TRUE(actual.GuardsSurvive());
  }
};

TEST_P(MatMulParity, DenseFormats) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBf16}) {
    for (int64_t rows = 1; rows <= 17; ++rows) Check({format, 33, 96}, Planes::kBoth, rows, {});
    for (const int64_t rows : {1, 16, 17, 33, 100}) {
      Check({format, 49, 1090}, Planes::kBoth, rows, Accumulate::kYes, Activations::kBf16);
    }
    for (const int64_t inputs : {1, 7, 16, 31, 65, 577}) {
      Check({format, 17, inputs}, Planes::kBoth, 3, Accumulate::kYes);
    }
  }
}

TEST_P(MatMulParity, QuantisedFormats) {
  for (const WeightFormat format : {WeightFormat::kHq4, WeightFormat::kHq8}) {
    for (const Planes planes : {Planes::kUpper, Planes::kBoth}) {
      if (format == WeightFormat::kHq4 && planes == Planes::kBoth) continue;
      for (const int group : {32, 64, 128}) {
        for (int64_t rows = 1; rows <= 17; ++rows) {
          Check({format, 33, 256, group}, planes, rows, Accumulate::kNo);
        }
        for (int64_t rows = 1; rows <= 17; ++rows) {
          Check({format, 33, 256, group}, planes, rows, Accumulate::kNo, Activations::kInt16);
        }
        for (const int64_t rows : {1, 16, 17, 33, 100}) {
          Check({format, 49, 1152, group}, planes, rows, Accumulate::kYes, Activations::kBf16);
        }
        Check({format, 1, group, group}, planes, 2, Accumulate::kYes);
        Check({format, 577, 5 * group, group}, planes, 40, Accumulate::kYes);
      }
    }
  }
}

TEST_P(MatMulParity, MaximaAreThoseOfTheOutputs) {
  Random random(9);
  for (const WeightFormat format :
       {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kHq4, WeightFormat::kHq8}) {
    for (const int64_t rows : {1, 4, 17}) {
      const WeightSpec spec{format, 145, 96, format < WeightFormat::kHq4 ? 0 : 32};
      Reserve({rows, spec.inputs, rows, 1, 16, {1, 16}, 1});
      const std::vector<float> values = random.Normals(spec.outputs * spec.inputs);
      const std::vector<float> x = random.Normals(rows * spec.inputs);
      std::vector<float> bias = random.Normals(spec.outputs);
      for (const size_t i : {3, 16, 17, 144}) bias[i] = NAN;
      for (Backend* backend : {cpu_.get(), reference_.get()}) {
        const Packed packed(*backend, spec, values);
        GuardedRows y(rows, spec.outputs), maxima(rows, CeilDiv(spec.outputs, kPackRows));
        Product product;
        product.weight = &packed.weight;
        product.planes = format == WeightFormat::kHq8 ? Planes::kBoth : Planes::kUpper;
        product.bias = bias.data();
        product.y = y.view();
        product.maxima = maxima.view();
        product.first_output = kPackRows;  // the first pack stays as it is
        product.outputs = spec.outputs - kPackRows;
        backend->MatMul(View(x, spec.inputs), {&product, 1});
        for (int64_t row = 0; row < rows; ++row) {
          EXPECT_EQ(maxima.view().Row(row)[0], y.view().Row(row)[0]) << "not a sentinel";
          for (int64_t first = kPackRows; first < spec.outputs; first += kPackRows) {
            float largest = -INFINITY;
            for (int64_t i = first; i < std::min(first + kPackRows, spec.outputs); ++i) {
              largest = y.view().Row(row)[i] > largest ? y.view().Row(row)[i] : largest;
            }
            ASSERT_EQ(maxima.view().Row(row)[first / kPackRows], largest) << first;
          }
        }
        EXPECT_TRUE(y.GuardsSurvive() && maxima.GuardsSurvive());
      }
    }
  }
}

// The largest codes meet the largest inputs, two and two: what 16 bits hardly hold.
TEST_P(MatMulParity, NeighboursAlike) {
  for (const Activations activations : {Activations::kInt8, Activations::kInt16}) {
    for (const int64_t rows : {1, 3}) {
      Check({WeightFormat::kHq8, 33, 256, 32}, Planes::kBoth, rows, Accumulate::kNo, activations,
            true);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MatMulParity, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
