// Linear layers against the machine's limits. Every entry names format, shape and rows; an
// iteration goes once through copies of the matrix that no cache holds, as a step goes through its
// layers, and is followed by one plain read of as many bytes with the same threads.
//
// Counters are from the best iteration, for shared machines: best_us a call, GB_s of packed
// weights, `share` of the best plain read, GMAC_s.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/backend.h"
#include "machine.h"

namespace quantspec {
namespace {

constexpr int64_t kMaxRows = 512;
constexpr int64_t kFewRows = 32;  // up to these a rotation uses all copies, beyond only one
constexpr int kRotations = 12;

struct Shape {
  const char* name;
  int64_t inputs;
  int64_t outputs;
};
constexpr Shape kShapes[] = {
    {"smollm2_gate_up", 576, 3072},
    {"smollm2_down", 1536, 576},
    {"llama1b_gate_up", 2048, 16384},
    {"llama1b_down", 8192, 2048},
};

struct Format {
  const char* name;
  WeightFormat format;
  int group;
};
constexpr Format kFormats[] = {
    {"hq4_g32", WeightFormat::kHq4, 32},   {"hq8_g32", WeightFormat::kHq8, 32},
    {"hq4_g128", WeightFormat::kHq4, 128}, {"hq8_g128", WeightFormat::kHq8, 128},
    {"bf16", WeightFormat::kBf16, 0},
};

// Copies of one packed matrix, more than any cache holds; kept until another is asked for.
struct Weights {
  WeightSpec spec;
  Buffer memory;
  std::vector<PackedWeight> copies;
  size_t bytes = 0;  // of one copy
};

void FillRandom(Buffer& memory) {
  uint64_t* words = memory.As<uint64_t>();
  for (size_t i = 0; i < memory.bytes() / 8; ++i) words[i] = RandomBits(1, 2, i);
}

// Random codes with scales of 1 and zeros of -8, or random bf16 values around 1.
void FillWeights(Weights& weights) {
  FillRandom(weights.memory);
  const WeightSpec& spec = weights.spec;
  if (spec.format == WeightFormat::kBf16) {
    uint16_t* values = weights.memory.As<uint16_t>();
    for (size_t i = 0; i < weights.memory.bytes() / 2; ++i) {
      values[i] = static_cast<uint16_t>((values[i] & 0x80FFu) | 0x3F00u);
    }
  }
}

Weights& WeightsFor(const Backend& backend, const Format& format, const Shape& shape) {
  static Weights weights;
  const WeightSpec spec{format.format, shape.outputs, shape.inputs, format.group};
  if (!weights.copies.empty() && weights.spec.format == spec.format &&
      weights.spec.outputs == spec.outputs && weights.spec.inputs == spec.inputs &&
      weights.spec.group == spec.group) {
    return weights;
  }
  weights = Weights{};
  weights.spec = spec;
  const WeightBytes bytes = backend.SizeOf(spec);
  weights.bytes = bytes.upper + bytes.lower;
  const size_t count = kRotatedBytes / weights.bytes + 1;
  weights.memory = Buffer(count * weights.bytes);
  std::byte* upper = weights.memory.data();
  std::byte* lower = upper + count * bytes.upper;
  for (size_t i = 0; i < count; ++i) {
    weights.copies.push_back(
        {spec, upper + i * bytes.upper, bytes.lower > 0 ? lower + i * bytes.lower : nullptr});
  }
  FillWeights(weights);
  return weights;
}

void MatMul(benchmark::State& state, const Format& format, const Shape& shape, int64_t rows) {
  const auto backend = MakeBackend();
  ScratchLimits limits;
  limits.rows = kMaxRows;
  limits.inputs = shape.inputs;
  backend->Reserve(limits);
  const Weights& weights = WeightsFor(*backend, format, shape);
  std::vector<float> x(static_cast<size_t>(rows * shape.inputs));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(RandomUniform(3, 4, i) - 0.5);
  std::vector<float> y(static_cast<size_t>(rows * shape.outputs));
  const size_t calls = rows > kFewRows ? 1 : weights.copies.size();
  double best = 1e30, best_read = 1e30;
  for (auto _ : state) {
    const double begin = Seconds();
    for (size_t i = 0; i < calls; ++i) {
      Product product;
      product.weight = &weights.copies[i];
      product.y = Rows(y.data(), rows, shape.outputs);
      backend->MatMul(ConstRows(x.data(), rows, shape.inputs), {&product, 1});
    }
    const double seconds = (Seconds() - begin) / static_cast<double>(calls);
    state.SetIterationTime(seconds);
    best = std::min(best, seconds);
    best_read = std::min(best_read, ReadSeconds());
  }
  const double bytes_per_s = static_cast<double>(weights.bytes) / best;
  const double macs = static_cast<double>(rows * shape.inputs * shape.outputs);
  state.counters["best_us"] = best * 1e6;
  state.counters["GB_s"] = bytes_per_s * 1e-9;
  state.counters["share"] = bytes_per_s * best_read / static_cast<double>(kRotatedBytes);
  state.counters["GMAC_s"] = macs / best * 1e-9;
  state.SetLabel(std::string(backend->isa()));
}

void RegisterAll() {
  for (const Shape& shape : kShapes) {
    for (const Format& format : kFormats) {
      if (format.group != 0 && shape.inputs % format.group != 0) continue;
      for (const int64_t rows : {1, 2, 3, 4, 6, 8, 16, 512}) {
        const std::string name =
            std::string("matmul/") + format.name + "/" + shape.name + "/" + std::to_string(rows);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [&format, &shape, rows](benchmark::State& state) {
                                       MatMul(state, format, shape, rows);
                                     })
            ->UseManualTime()
            ->Iterations(kRotations)
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

}  // namespace
}  // namespace quantspec

int main(int argc, char** argv) {
  quantspec::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
