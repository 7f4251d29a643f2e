// Calls every kernel whose instructions are counted, for check_instructions.py:
//
//   kernel_calls ISA    exits 77 where this CPU (or the one that valgrind plays) lacks ISA
//
// Each case calls its kernel twice: once to settle what only first calls do, then inside
// MeasuredCall, the one function that callgrind collects (--toggle-collect, --dump-after). Its
// name is printed then, so that the n-th name belongs to the n-th dump. Inputs are the same in
// every run and lie at multiples of 64 bytes; one thread.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/backend.h"

// The barrier keeps the call from becoming a jump, with which this function would end before it.
extern "C" __attribute__((noinline)) void MeasuredCall(void (*call)(void*), void* context) {
  call(context);
  __asm__ volatile("" ::: "memory");
}
// Volatile, so that no compiler makes copies of the function, with other names, for known calls.
void (*volatile measured_call)(void (*)(void*), void*) = MeasuredCall;

namespace quantspec {
namespace {

template <typename Call>
void Measure(const std::string& name, Call call) {
  call();
  measured_call([](void* context) { (*static_cast<Call*>(context))(); }, &call);
  std::puts(name.c_str());
}

// A matrix of numbers in [-1, 1).
class Matrix {
 public:
  Matrix(int64_t rows, int64_t columns, uint64_t stream)
      : memory_(static_cast<size_t>(rows * columns) * sizeof(float)), rows_(rows), cols_(columns) {
    for (int64_t i = 0; i < rows * columns; ++i) {
      const double uniform = RandomUniform(1, stream, static_cast<uint64_t>(i));
      memory_.As<float>()[i] = static_cast<float>(2.0 * uniform - 1.0);
    }
  }
  Rows view() { return {memory_.As<float>(), rows_, cols_}; }
  float* data() { return memory_.As<float>(); }

 private:
  Buffer memory_;
  int64_t rows_;
  int64_t cols_;
};

std::unique_ptr<Backend> MakeBackend(std::string_view isa, const ScratchLimits& limits) {
  static ThreadPool pool(1);
  std::unique_ptr<Backend> backend = MakeCpuBackend(pool, isa);
  backend->Reserve(limits);
  return backend;
}

// ---------------------------------------------------------------------------------- weights

constexpr int64_t kOutputs = 192;
constexpr int64_t kInputs = 576;
constexpr int kGroup = 32;

struct OwnedWeight {
  Buffer memory;
  PackedWeight weight;

  OwnedWeight(const Backend& backend, WeightFormat format) {
    Matrix values(kOutputs, kInputs, 1);
    const bool dense = format == WeightFormat::kBf16;
    weight.spec = {format, kOutputs, kInputs, dense ? 0 : kGroup};
    const WeightBytes bytes = backend.SizeOf(weight.spec);
    memory = Buffer(bytes.upper + bytes.lower);
    weight.upper = memory.data();
    if (bytes.lower > 0) weight.lower = memory.data() + bytes.upper;
    if (dense) {
      backend.PackDense(values.view(), 0, weight);
      return;
    }
    constexpr size_t kCodes = kOutputs * kInputs;
    Buffer upper(kCodes), lower(kCodes), scales(kCodes / kGroup * sizeof(GroupScale));
    EncodeRows(values.view(), kGroup, upper.As<uint8_t>(), lower.As<uint8_t>(),
               scales.As<GroupScale>());
    HqRows rows{kOutputs, kInputs, kGroup, {upper.As<uint8_t>(), kCodes}, {}, {}};
    if (format == WeightFormat::kHq8) rows.lower = {lower.As<uint8_t>(), kCodes};
    rows.scales = {scales.As<GroupScale>(), kCodes / kGroup};
    backend.PackQuantized(rows, 0, weight);
  }
};

void MeasureMatMul(Backend& backend, const std::string& name, const PackedWeight& weight,
                   Planes planes, Activations activations = Activations::kInt8) {
  for (const int64_t rows : {1, 4}) {
    Matrix x(rows, kInputs, 2), y(rows, kOutputs, 3);
    const Product product{&weight, planes, nullptr, y.view(), Accumulate::kNo};
    Measure("matmul_" + name + "_rows" + std::to_string(rows), [&] {
      backend.MatMul(x.view(), {&product, 1}, activations);
    });
  }
}

void MeasureWeights(std::string_view isa) {
  const auto backend = MakeBackend(isa, {4, kInputs, 4, 1, 16, {1, 16}, 1});
  const OwnedWeight hq4(*backend, WeightFormat::kHq4), hq8(*backend, WeightFormat::kHq8),
      bf16(*backend, WeightFormat::kBf16);
  MeasureMatMul(*backend, "hq4_g32", hq4.weight, Planes::kUpper);
  MeasureMatMul(*backend, "hq8_g32", hq8.weight, Planes::kBoth);
  MeasureMatMul(*backend, "hq8_g32_upper", hq8.weight, Planes::kUpper);
  MeasureMatMul(*backend, "hq8_g32_int16", hq8.weight, Planes::kBoth, Activations::kInt16);
  MeasureMatMul(*backend, "bf16", bf16.weight, Planes::kBoth);
}

// ------------------------------------------------------------------------------------ cache

constexpr int64_t kGroups = 9;  // more than one split of attention, so that merging counts too
constexpr int64_t kTokens = kGroups * kKvGroup;
constexpr int64_t kDenseTokens = 320;  // seen by dense attention
constexpr int64_t kPrompt = 64;

// The same tokens in a dense segment and in a sealed one.
struct OwnedKv {
  KvGeometry geometry;
  Buffer keys, values, upper, lower, scales;
  DenseSegment dense;
  SealedSegment sealed;

  OwnedKv(Backend& backend, KvGeometry g) : geometry(g) {
    const size_t dense_bytes = backend.DenseBytes(g, KvType::kF16, kTokens);
    const SealedBytes bytes = backend.SizeOf(g, kGroups);
    keys = Buffer(dense_bytes);
    values = Buffer(dense_bytes);
    upper = Buffer(bytes.upper);
    lower = Buffer(bytes.lower);
    scales = Buffer(bytes.scales);
    dense = {KvType::kF16, keys.data(), values.data(), kTokens, kTokens, 0};
    sealed = {upper.data(), lower.data(), scales.data(), kGroups};
    const int64_t columns = int64_t{g.kv_heads} * g.head_dim;
    Matrix k(kTokens, columns, 4), v(kTokens, columns, 5);
    backend.StoreKv(k.view(), v.view(), g, dense, 0);
    for (int64_t slot = 0; slot < kGroups; ++slot) {
      backend.SealKv(g, dense, slot * kKvGroup, sealed, slot);
    }
  }
};

// The last `tokens` of `positions` tokens attend.
void MeasureAttend(Backend& backend, const std::string& name, KvGeometry geometry, const KvView& kv,
                   int q_heads, int64_t positions, int64_t tokens) {
  const int64_t columns = int64_t{q_heads} * geometry.head_dim;
  Matrix q(tokens, columns, 6), out(tokens, columns, 7);
  AttendRows rows;
  rows.rows = tokens;
  rows.first_position = positions - tokens;
  rows.kv = kv;
  AttendArgs args;
  args.geometry = geometry;
  args.q_heads = q_heads;
  args.scale = 0.125f;
  args.math = tokens == kPrompt ? AttendMath::kBf16 : AttendMath::kCodes;
  args.q = q.view();
  args.out = out.view();
  args.sequences = {&rows, 1};
  Measure("attend_" + name + "_tokens" + std::to_string(tokens), [&] { backend.Attend(args); });
}

// The last `tokens` of as many as the view has weigh them all, and the heaviest are gathered.
void MeasureRowsOfCache(Backend& backend, const std::string& shape, KvGeometry geometry,
                        const KvView& kv, int q_heads, int64_t tokens) {
  const int64_t positions = kv.Tokens(), chosen = positions / 8;
  const int64_t columns = int64_t{q_heads} * geometry.head_dim;
  Matrix q(tokens, columns, 6), masses(q_heads, positions, 7);
  WeighArgs args;
  args.geometry = geometry;
  args.q_heads = q_heads;
  args.scale = 0.125f;
  args.q = q.view();
  args.first_position = positions - tokens;
  args.kv = kv;
  args.masses = masses.view();
  Measure("weigh_" + shape + "_tokens" + std::to_string(tokens), [&] { backend.WeighRows(args); });
  Buffer rows(static_cast<size_t>(geometry.kv_heads * chosen) * sizeof(int32_t));
  Measure("choose_rows_" + shape, [&] {
    backend.ChooseRows(masses.view(), geometry.kv_heads, RowPooling::kMean5, chosen,
                       rows.As<int32_t>());
  });
  const int64_t capacity = RoundUp(chosen, kDenseRows);
  const size_t bytes = backend.DenseBytes(geometry, KvType::kF16, capacity);
  Buffer keys(bytes), values(bytes);
  const DenseSegment to{KvType::kF16, keys.data(), values.data(), capacity, capacity, 0};
  Measure("gather_" + shape,
          [&] { backend.GatherKv(geometry, kv, rows.As<int32_t>(), chosen, to, 0); });
}

void MeasureCache(std::string_view isa, KvGeometry geometry, int gqa) {
  const int q_heads = geometry.kv_heads * gqa;
  const auto backend = MakeBackend(isa, {kPrompt, 0, 4, 1, kTokens, geometry, q_heads});
  OwnedKv kv(*backend, geometry);
  const std::string shape = "d" + std::to_string(geometry.head_dim) + "_gqa" + std::to_string(gqa);
  int32_t slots[kGroups];
  for (int i = 0; i < kGroups; ++i) slots[i] = i;
  KvView sealed;
  sealed.sealed = kv.sealed;
  sealed.runs[0] = {slots, kGroups};
  sealed.run_count = 1;
  for (const int64_t tokens : {int64_t{1}, int64_t{4}, kPrompt}) {
    sealed.runs[0].planes = Planes::kBoth;
    MeasureAttend(*backend, "target_" + shape, geometry, sealed, q_heads, kTokens + tokens, tokens);
    if (tokens == kPrompt) continue;
    sealed.runs[0].planes = Planes::kUpper;
    MeasureAttend(*backend, "draft_" + shape, geometry, sealed, q_heads, kTokens + tokens, tokens);
  }
  sealed.runs[0].planes = Planes::kBoth;
  MeasureRowsOfCache(*backend, shape, geometry, sealed, q_heads, 4);
  KvView dense;
  dense.dense[0] = kv.dense;
  dense.dense_count = 1;
  for (const int64_t tokens : {int64_t{1}, int64_t{4}, kPrompt}) {
    dense.dense[0].rows = tokens == kPrompt ? kPrompt : kDenseTokens;
    MeasureAttend(*backend, "dense_" + shape, geometry, dense, q_heads, dense.dense[0].rows,
                  tokens);
  }
  Measure("seal_" + shape, [&] { backend->SealKv(geometry, kv.dense, 0, kv.sealed, 0); });
  Measure("unseal_" + shape, [&] { backend->UnsealKv(geometry, kv.sealed, 0, kv.dense, 0); });
}

// ------------------------------------------------------------------------------------- rows

void MeasureRows(std::string_view isa) {
  constexpr int64_t kRows = 4;
  constexpr int64_t kHidden = 1536;
  const auto backend = MakeBackend(isa, {kRows, kHidden, kRows, 1, 16, {1, 16}, 1});
  Matrix x(kRows, kHidden, 8), other(kRows, kHidden, 9), out(kRows, kHidden, 10);
  Measure("rms_norm", [&] { backend->RmsNorm(x.view(), other.data(), 1e-5f, out.view()); });
  Measure("gated_activation",
          [&] { backend->GatedActivation(x.view(), other.view(), out.view()); });
}

}  // namespace
}  // namespace quantspec

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: kernel_calls ISA\n", stderr);
    return 2;
  }
  const std::string_view isa = argv[1];
  const auto isas = quantspec::AvailableIsas();
  if (std::find(isas.begin(), isas.end(), isa) == isas.end()) return 77;
  try {
    quantspec::MeasureWeights(isa);
    quantspec::MeasureCache(isa, {1, 64}, 3);
    quantspec::MeasureCache(isa, {1, 128}, 4);
    quantspec::MeasureRows(isa);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kernel_calls: %s\n", error.what());
    return 1;
  }
  return 0;
}
