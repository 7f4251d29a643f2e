// Attention against the machine's limits. An iteration goes once through the layers of a model
// shape, repeated until no cache of the CPU holds them together, and is followed by one plain read
// of about as many bytes with the same threads.
//
// Counters are from the best iteration, for shared machines: best_us a layer, GB_s of cache bytes,
// `share` of the best plain read, GMAC_s of scores and values (causal).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/backend.h"
#include "machine.h"

namespace quantspec {
namespace {

constexpr int kIterations = 12;

struct Shape {
  const char* name;
  KvGeometry geometry;
  int gqa;
};
constexpr Shape kShapes[] = {
    {"smollm2", {3, 64}, 3},
    {"d128_gqa4", {2, 128}, 4},
    {"d128_mha", {4, 128}, 1},
};

// kScattered: a target whose groups lie in the slots of a pool without any order.
enum class Kind { kTarget, kDraft, kScattered, kDense };
constexpr const char* kKindNames[] = {"target", "draft", "scattered", "dense_f16"};

// The cache of some layers, in one stretch each of planes or of dense rows.
struct Layers {
  Buffer memory;
  std::vector<int32_t> slots;
  std::vector<KvView> views;
  size_t bytes = 0;  // that one reader reads of one layer
};

void FillF16(Buffer& memory) {
  auto* values = memory.As<uint16_t>();
  for (size_t i = 0; i < memory.bytes() / 2; ++i) {
    values[i] = static_cast<uint16_t>((RandomBits(1, 2, i) & 0x83FFu) | 0x3000u);  // +-0.125..0.25
  }
}

// As many layers as make `least_bytes`, and one more; plane by plane over all layers in one memory,
// as in the cache.
Layers MakeLayers(const Backend& backend, const Shape& shape, Kind kind, int64_t tokens,
                  size_t least_bytes = 0) {
  const int64_t groups = tokens / kKvGroup;
  const bool is_dense = kind == Kind::kDense;
  const SealedBytes sealed = is_dense ? SealedBytes{} : backend.SizeOf(shape.geometry, groups);
  const size_t dense = is_dense ? backend.DenseBytes(shape.geometry, KvType::kF16, tokens) : 0;
  Layers layers;
  layers.bytes = 2 * dense + sealed.upper + sealed.scales;
  if (kind != Kind::kDraft) layers.bytes += sealed.lower;
  layers.views.resize(least_bytes / layers.bytes + 1);
  layers.memory =
      Buffer(layers.views.size() * (2 * dense + sealed.upper + sealed.scales + sealed.lower));
  FillF16(layers.memory);
  layers.slots.resize(static_cast<size_t>(groups));
  std::iota(layers.slots.begin(), layers.slots.end(), 0);
  if (kind == Kind::kScattered) {
    for (size_t i = layers.slots.size(); i > 1; --i) {
      std::swap(layers.slots[i - 1], layers.slots[RandomBits(5, 6, i) % i]);
    }
  }
  std::byte* next = layers.memory.data();
  const auto take = [&next](size_t bytes) { return std::exchange(next, next + bytes); };
  for (KvView& view : layers.views) {
    view.sealed.upper = take(sealed.upper);
    if (is_dense) {
      view.dense[0].keys = take(dense);
      view.dense[0].values = take(dense);
      view.dense[0].capacity = view.dense[0].rows = tokens;
      view.dense_count = 1;
    } else {
      view.sealed.capacity = groups;
      const Planes planes = kind == Kind::kDraft ? Planes::kUpper : Planes::kBoth;
      view.runs[0] = {layers.slots.data(), groups, false, planes};
      view.run_count = 1;
    }
  }
  for (KvView& view : layers.views) view.sealed.scales = take(sealed.scales);
  for (KvView& view : layers.views) view.sealed.lower = take(sealed.lower);
  return layers;
}

void Attend(Backend& backend, const Shape& shape, const KvView& view, AttendMath math,
            std::vector<float>& q, std::vector<float>& out, int64_t tokens,
            int64_t first_position) {
  AttendRows rows;
  rows.rows = tokens;
  rows.first_position = first_position;
  rows.kv = view;
  AttendArgs args;
  args.geometry = shape.geometry;
  args.q_heads = shape.geometry.kv_heads * shape.gqa;
  args.scale = 0.125f;
  args.math = math;
  const int64_t columns = int64_t{args.q_heads} * shape.geometry.head_dim;
  args.q = ConstRows(q.data(), tokens, columns);
  args.out = Rows(out.data(), tokens, columns);
  args.sequences = {&rows, 1};
  backend.Attend(args);
}

void Reserve(Backend& backend, const Shape& shape, int64_t rows, int64_t positions) {
  ScratchLimits limits;
  limits.rows = rows;
  limits.step_rows = std::min(rows, kStepRows);
  limits.sequences = 1;
  limits.positions = positions;
  limits.geometry = shape.geometry;
  limits.q_heads = shape.geometry.kv_heads * shape.gqa;
  backend.Reserve(limits);
}

std::vector<float> Queries(const Shape& shape, int64_t tokens) {
  std::vector<float> q(
      static_cast<size_t>(tokens * shape.geometry.kv_heads * shape.gqa * shape.geometry.head_dim));
  for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(RandomUniform(3, 4, i) - 0.5);
  return q;
}

void Decode(benchmark::State& state, const Shape& shape, Kind kind, int64_t context,
            int64_t tokens) {
  const auto backend = MakeBackend();
  Reserve(*backend, shape, tokens, context);
  const Layers layers = MakeLayers(*backend, shape, kind, context, kRotatedBytes);
  std::vector<float> q = Queries(shape, tokens), out(q.size());
  double best = 1e9, best_read = 1e9;
  const size_t bytes = layers.bytes * layers.views.size();
  for (auto _ : state) {
    const double begin = Seconds();
    for (const KvView& view : layers.views) {
      // All tokens see the whole context: positions behind its end.
      Attend(*backend, shape, view, AttendMath::kCodes, q, out, tokens, context);
    }
    const double seconds = Seconds() - begin;
    best = std::min(best, seconds);
    best_read = std::min(best_read, ReadSeconds());
    state.SetIterationTime(seconds);
  }
  const auto count = static_cast<double>(layers.views.size());
  const double macs = 2.0 * static_cast<double>(context * tokens) * shape.geometry.kv_heads *
                      shape.gqa * shape.geometry.head_dim;
  state.counters["best_us"] = best / count * 1e6;
  state.counters["GB_s"] = static_cast<double>(bytes) / best * 1e-9;
  state.counters["share"] = static_cast<double>(bytes) / best * best_read / kRotatedBytes;
  state.counters["GMAC_s"] = macs * count / best * 1e-9;
}

// One short layer again and again: with one thread all of it lies in L2, so this is arithmetic
// alone. `group_us`: one sealed group of one KV head.
void Resident(benchmark::State& state, const Shape& shape, Kind kind, int64_t tokens) {
  constexpr int64_t kGroups = 16;
  constexpr int kCalls = 20;
  const auto backend = MakeBackend();
  const int64_t context = kGroups * kKvGroup;
  Reserve(*backend, shape, tokens, context);
  const Layers layers = MakeLayers(*backend, shape, kind, context);
  std::vector<float> q = Queries(shape, tokens), out(q.size());
  double best = 1e9;
  for (auto _ : state) {
    const double begin = Seconds();
    for (int call = 0; call < kCalls; ++call) {
      Attend(*backend, shape, layers.views.front(), AttendMath::kCodes, q, out, tokens, context);
    }
    const double seconds = (Seconds() - begin) / kCalls;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  const double macs_of_group =
      2.0 * static_cast<double>(kKvGroup * tokens) * shape.gqa * shape.geometry.head_dim;
  state.counters["group_us"] = best / kGroups / shape.geometry.kv_heads * 1e6;
  state.counters["GMAC_s"] = macs_of_group * kGroups * shape.geometry.kv_heads / best * 1e-9;
}

// A prompt over dense rows alone, call by call.
void DensePrompt(benchmark::State& state, const Shape& shape, int64_t context, int64_t rows) {
  const auto backend = MakeBackend();
  const int64_t capacity = RoundUp(context, kDenseRows);
  Reserve(*backend, shape, rows, capacity);
  const Layers layers = MakeLayers(*backend, shape, Kind::kDense, capacity);
  std::vector<float> q = Queries(shape, rows), out(q.size());
  double best = 1e9;
  for (auto _ : state) {
    const double begin = Seconds();
    for (int64_t first = 0; first < context; first += rows) {
      const int64_t count = std::min(rows, context - first);
      KvView view = layers.views.front();
      view.dense[0].rows = first + count;
      Attend(*backend, shape, view, AttendMath::kBf16, q, out, count, first);
    }
    const double seconds = Seconds() - begin;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  const double macs = static_cast<double>(context * (context + 1)) * shape.geometry.kv_heads *
                      shape.gqa * shape.geometry.head_dim;
  state.counters["best_us"] = best * 1e6;
  state.counters["GMAC_s"] = macs / best * 1e-9;
}

// The last `rows` rows of a chunk of a prompt, in one call, over sealed groups and the chunk.
void SealedPrompt(benchmark::State& state, const Shape& shape, int64_t sealed, int64_t rows) {
  constexpr int64_t kChunk = 2 * kKvGroup;
  const auto backend = MakeBackend();
  Reserve(*backend, shape, rows, sealed + kChunk);
  const Layers groups = MakeLayers(*backend, shape, Kind::kTarget, sealed);
  const Layers chunk = MakeLayers(*backend, shape, Kind::kDense, kChunk);
  KvView view = groups.views.front();
  view.dense[0] = chunk.views.front().dense[0];
  view.dense[0].first_position = sealed;
  view.dense_count = 1;
  std::vector<float> q = Queries(shape, rows), out(q.size());
  double best = 1e9;
  for (auto _ : state) {
    const double begin = Seconds();
    Attend(*backend, shape, view, AttendMath::kBf16, q, out, rows, sealed + kChunk - rows);
    const double seconds = Seconds() - begin;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  const double seen = static_cast<double>(sealed + kChunk) - static_cast<double>(rows - 1) / 2;
  const double macs = 2.0 * seen * static_cast<double>(rows) * shape.geometry.kv_heads * shape.gqa *
                      shape.geometry.head_dim;
  state.counters["best_us"] = best * 1e6;
  state.counters["GMAC_s"] = macs / best * 1e-9;
}

void Seal(benchmark::State& state, const Shape& shape, int64_t context) {
  const auto backend = MakeBackend();
  const int64_t groups = context / kKvGroup;
  const Layers layers = MakeLayers(*backend, shape, Kind::kDense, groups * kKvGroup);
  const Layers sealed = MakeLayers(*backend, shape, Kind::kTarget, groups * kKvGroup);
  double best = 1e9;
  for (auto _ : state) {
    const double begin = Seconds();
    for (int64_t g = 0; g < groups; ++g) {
      backend->SealKv(shape.geometry, layers.views[0].dense[0], g * kKvGroup,
                      sealed.views[0].sealed, g);
    }
    const double seconds = Seconds() - begin;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["best_us"] = best * 1e6;
}

void RegisterAll() {
  for (const Shape& shape : kShapes) {
    for (const int64_t context : {8192, 16384}) {
      for (const Kind kind : {Kind::kTarget, Kind::kDraft, Kind::kScattered, Kind::kDense}) {
        for (const int64_t tokens : {1, 2, 3, 4, 8}) {
          const std::string name = std::string("attend/") + shape.name + "/" +
                                   kKindNames[static_cast<int>(kind)] + "/" +
                                   std::to_string(context) + "/tokens:" + std::to_string(tokens);
          benchmark::RegisterBenchmark(name.c_str(), Decode, shape, kind, context, tokens)
              ->Iterations(kIterations)
              ->UseManualTime();
        }
      }
    }
    for (const Kind kind : {Kind::kTarget, Kind::kDraft}) {
      for (const int64_t tokens : {1, 5}) {
        const std::string name = std::string("resident/") + shape.name + "/" +
                                 kKindNames[static_cast<int>(kind)] +
                                 "/tokens:" + std::to_string(tokens);
        benchmark::RegisterBenchmark(name.c_str(), Resident, shape, kind, tokens)
            ->Iterations(40)
            ->UseManualTime();
      }
    }
    benchmark::RegisterBenchmark((std::string("prompt/") + shape.name + "/dense/7000").c_str(),
                                 DensePrompt, shape, 7000, 512)
        ->Iterations(3)
        ->UseManualTime();
    for (const int64_t rows : {1, 16, 64, 256}) {
      const std::string name =
          std::string("prompt/") + shape.name + "/sealed/6144/rows:" + std::to_string(rows);
      benchmark::RegisterBenchmark(name.c_str(), SealedPrompt, shape, 6144, rows)
          ->Iterations(kIterations)
          ->UseManualTime();
    }
    benchmark::RegisterBenchmark((std::string("seal/") + shape.name + "/7000").c_str(), Seal, shape,
                                 7000)
        ->Iterations(kIterations)
        ->UseManualTime();
  }
}

}  // namespace
}  // namespace quantspec

int main(int argc, char** argv) {
  quantspec::RegisterAll();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
