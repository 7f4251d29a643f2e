// The opaque backend gives what the reference gives, through memory that nobody else can touch.
#include "kernels/reference/opaque_backend.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "quant/hq8.h"

namespace quantspec {
namespace {

std::vector<float> Random(int64_t count, uint64_t stream) {
  std::vector<float> x(static_cast<size_t>(count));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(2 * RandomUniform(6, stream, i) - 1);
  }
  return x;
}

// Owns what a run takes from its backend.
class Device {
 public:
  explicit Device(const Backend& backend) : backend_(backend) {}
  template <typename T>
  T* Take(int64_t count) {
    memory_.push_back(backend_.Allocate(static_cast<size_t>(count) * sizeof(T)));
    return reinterpret_cast<T*>(memory_.back().data());
  }
  template <typename T>
  T* Upload(const std::vector<T>& values) {
    T* device = Take<T>(static_cast<int64_t>(values.size()));
    backend_.Upload(values.data(), values.size() * sizeof(T), device);
    return device;
  }

 private:
  const Backend& backend_;
  std::vector<DeviceMemory> memory_;
};

constexpr KvGeometry kGeometry{2, 16};
constexpr int64_t kColumns = int64_t{kGeometry.kv_heads} * kGeometry.head_dim;
constexpr int64_t kTail = 16;
constexpr int64_t kChosen = 3;

ScratchLimits Limits() {
  ScratchLimits limits;
  limits.rows = limits.step_rows = 4;
  limits.inputs = kColumns;
  limits.sequences = 1;
  limits.positions = kKvGroup + kTail;
  limits.geometry = kGeometry;
  limits.q_heads = kGeometry.kv_heads;
  return limits;
}

DenseSegment TakeDense(const Backend& backend, Device& device, int64_t capacity) {
  const auto bytes = static_cast<int64_t>(backend.DenseBytes(kGeometry, KvType::kF16, capacity));
  DenseSegment segment;
  segment.keys = device.Take<std::byte>(bytes);
  segment.values = device.Take<std::byte>(bytes);
  segment.capacity = segment.rows = capacity;
  return segment;
}

// One pass through every operation but loading and decoding: what it computes.
std::vector<float> RunAll(Backend& backend) {
  backend.Reserve(Limits());
  Device device(backend);
  const int64_t tokens = kKvGroup + kTail;
  const Rows k(device.Upload(Random(tokens * kColumns, 1)), tokens, kColumns);
  const Rows v(device.Upload(Random(tokens * kColumns, 2)), tokens, kColumns);
  const float* table = device.Upload(Random(tokens * kGeometry.head_dim, 3));
  backend.Rotate(k, kGeometry.kv_heads, {kGeometry.head_dim, RopeLayout::kHalves, table}, 0);

  const DenseSegment prompt = TakeDense(backend, device, tokens);
  backend.StoreKv(k, v, kGeometry, prompt, 0);
  DenseSegment tail = TakeDense(backend, device, kTail);
  tail.first_position = kKvGroup;
  backend.CopyKv(kGeometry, prompt, kKvGroup, kTail, tail, 0);
  const SealedBytes bytes = backend.SizeOf(kGeometry, 2);
  SealedSegment sealed;
  sealed.upper = device.Take<std::byte>(static_cast<int64_t>(bytes.upper));
  sealed.lower = device.Take<std::byte>(static_cast<int64_t>(bytes.lower));
  sealed.scales = device.Take<std::byte>(static_cast<int64_t>(bytes.scales));
  sealed.capacity = 2;
  backend.SealKv(kGeometry, prompt, 0, sealed, 1);
  backend.UnsealKv(kGeometry, sealed, 1, prompt, 0);

  const int32_t* slots = device.Upload(std::vector<int32_t>{1});
  float* masses = device.Take<float>(kGeometry.kv_heads);
  int32_t* chosen = device.Take<int32_t>(kGeometry.kv_heads);
  const Rows out(device.Take<float>(kColumns), 1, kColumns);
  AttendRows rows;
  rows.rows = 1;
  rows.first_position = tokens - 1;
  rows.masses = masses;
  rows.kv.sealed = sealed;
  rows.kv.runs[0] = {slots, 1};
  rows.kv.run_count = 1;
  rows.kv.dense[0] = tail;
  rows.kv.dense_count = 1;
  AttendArgs args;
  args.geometry = kGeometry;
  args.q_heads = kGeometry.kv_heads;
  args.q = k.Rows(tokens - 1, 1);
  args.out = out;
  args.sequences = {&rows, 1};
  backend.Attend(args);
  backend.ChooseGroups(ConstRows(masses, kGeometry.kv_heads, 1), {slots, 1}, 1, chosen);

  const Rows weights(device.Take<float>(kGeometry.kv_heads * tokens), kGeometry.kv_heads, tokens);
  int32_t* heaviest = device.Take<int32_t>(kGeometry.kv_heads * kChosen);
  const DenseSegment gathered = TakeDense(backend, device, kTail);
  WeighArgs weigh;
  weigh.geometry = kGeometry;
  weigh.q_heads = kGeometry.kv_heads;
  weigh.q = args.q;
  weigh.first_position = tokens - 1;
  weigh.kv = rows.kv;
  weigh.masses = weights;
  backend.WeighRows(weigh);
  backend.ChooseRows(weights, kGeometry.kv_heads, RowPooling::kMean5, kChosen, heaviest);
  backend.GatherKv(kGeometry, rows.kv, heaviest, kChosen, gathered, 1);

  const WeightSpec spec{WeightFormat::kF32, kColumns, kColumns};
  PackedWeight weight{spec,
                      device.Take<std::byte>(static_cast<int64_t>(backend.SizeOf(spec).upper))};
  const std::vector<float> matrix = Random(kColumns * kColumns, 4);
  backend.PackDense(ConstRows(matrix.data(), kColumns, kColumns), 0, weight);
  const Rows y(device.Take<float>(kColumns), 1, kColumns);
  Product product;
  product.weight = &weight;
  product.bias = device.Upload(Random(kColumns, 5));
  product.y = y;
  backend.MatMul(out, {&product, 1});
  backend.GatedActivation(y, out, y);
  backend.GatedActivation(y, out, y, Activation::kGeluTanh);
  backend.Scale(y, 3.0f);
  backend.AddScaled(out, -0.5f, y);
  backend.SoftCap(y, 2.0f);
  backend.RmsNorm(y, product.bias, 1e-5f, out);
  backend.Synchronize();

  std::vector<float> staging(kColumns), result(3 * kColumns + 3);
  const ConstRows on_host = backend.OnHost(out, staging.data());
  std::copy_n(on_host.Row(0), kColumns, result.begin());
  backend.LoadKv(kGeometry, prompt, 7, result.data() + kColumns, staging.data());
  backend.LoadKv(kGeometry, gathered, kChosen, staging.data(), result.data() + 2 * kColumns);
  backend.Download(masses, 2 * sizeof(float), result.data() + 3 * kColumns);
  int32_t slot;
  backend.Download(chosen + 1, sizeof(slot), &slot);
  result.back() = static_cast<float>(slot);
  return result;
}

TEST(OpaqueBackend, GivesWhatTheReferenceGives) {
  const auto opaque = MakeOpaqueBackend(), reference = MakeReferenceBackend();
  EXPECT_EQ(RunAll(*opaque), RunAll(*reference));
}

TEST(OpaqueBackendDeathTest, MemoryCannotBeTouched) {
  const auto backend = MakeOpaqueBackend();
  const DeviceMemory memory = backend->Allocate(64);
  EXPECT_EQ(memory.bytes(), 64u);
  EXPECT_DEATH(*const_cast<volatile std::byte*>(memory.data()) = std::byte{1}, "");
}

}  // namespace
}  // namespace quantspec
