// For tests: the reference backend on a device of its own, as it were. Every address of its memory
// is one that no process may touch, so whoever reads or writes a backend's bytes crashes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "kernels/backend.h"

namespace quantspec {

// Device addresses: those of the host, beyond what the hardware can address; null stays null.
namespace opaque {

inline constexpr uintptr_t kShift = uintptr_t{1} << 60;
template <typename T>
T* ToDevice(T* p) {
  return p == nullptr ? nullptr : reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(p) + kShift);
}
template <typename T>
T* ToHost(T* p) {
  return p == nullptr ? nullptr : reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(p) - kShift);
}
template <typename T>
MatrixView<T> ToHost(MatrixView<T> view) {
  view.data = ToHost(view.data);
  return view;
}
inline PackedWeight ToHost(PackedWeight weight) {
  weight.upper = ToHost(weight.upper);
  weight.lower = ToHost(weight.lower);
  return weight;
}
inline DenseSegment ToHost(DenseSegment segment) {
  segment.keys = ToHost(segment.keys);
  segment.values = ToHost(segment.values);
  return segment;
}
inline SealedSegment ToHost(SealedSegment segment) {
  segment.upper = ToHost(segment.upper);
  segment.lower = ToHost(segment.lower);
  segment.scales = ToHost(segment.scales);
  return segment;
}
inline KvView ToHost(KvView view) {
  view.sealed = ToHost(view.sealed);
  for (GroupRun& run : view.runs) run.slots = ToHost(run.slots);
  for (DenseSegment& segment : view.dense) segment = ToHost(segment);
  return view;
}

}  // namespace opaque

class OpaqueBackend final : public Backend {
 public:
  std::string_view isa() const override { return "opaque"; }
  size_t ScratchBytes(const ScratchLimits& limits) const override {
    return backend_->ScratchBytes(limits);
  }
  void Reserve(const ScratchLimits& limits) override { backend_->Reserve(limits); }

  DeviceMemory Allocate(size_t bytes) const override {
    Buffer memory(bytes);
    return {opaque::ToDevice(memory.Release()), bytes,
            [](std::byte* data, size_t size) { Buffer::Free(opaque::ToHost(data), size); }};
  }
  void Upload(const void* host, size_t bytes, void* device) const override {
    if (bytes > 0) std::memcpy(opaque::ToHost(static_cast<std::byte*>(device)), host, bytes);
  }
  void Download(const void* device, size_t bytes, void* host) const override {
    if (bytes > 0) std::memcpy(host, opaque::ToHost(static_cast<const std::byte*>(device)), bytes);
  }
  bool MemoryIsHost() const override { return false; }
  ConstRows OnHost(ConstRows rows, float* staging) const override {
    const ConstRows from = opaque::ToHost(rows);
    for (int64_t row = 0; row < rows.rows; ++row) {
      std::copy_n(from.Row(row), rows.columns, staging + row * rows.columns);
    }
    return {staging, rows.rows, rows.columns};
  }
  void Synchronize() const override {}

  WeightBytes SizeOf(const WeightSpec& spec) const override { return backend_->SizeOf(spec); }
  size_t DenseBytes(KvGeometry geometry, KvType type, int64_t capacity) const override {
    return backend_->DenseBytes(geometry, type, capacity);
  }
  SealedBytes SizeOf(KvGeometry geometry, int64_t capacity) const override {
    return backend_->SizeOf(geometry, capacity);
  }

 private:
  void DoPackQuantized(const HqRows& rows, int64_t first_output,
                       const PackedWeight& weight) const noexcept override {
    backend_->PackQuantized(rows, first_output, opaque::ToHost(weight));
  }
  void DoPackDense(ConstRows rows, int64_t first_output,
                   const PackedWeight& weight) const noexcept override {
    backend_->PackDense(rows, first_output, opaque::ToHost(weight));
  }
  void DoMatMul(ConstRows x, std::span<const Product> products,
                Activations activations) noexcept override {
    std::vector<PackedWeight> weights;
    for (const Product& product : products) weights.push_back(opaque::ToHost(*product.weight));
    std::vector<Product> on_host(products.begin(), products.end());
    for (size_t i = 0; i < on_host.size(); ++i) {
      on_host[i].weight = &weights[i];
      on_host[i].bias = opaque::ToHost(on_host[i].bias);
      on_host[i].y = opaque::ToHost(on_host[i].y);
      on_host[i].maxima = opaque::ToHost(on_host[i].maxima);
    }
    backend_->MatMul(opaque::ToHost(x), on_host, activations);
  }
  void DoStoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
                 int64_t first_row) noexcept override {
    backend_->StoreKv(opaque::ToHost(k), opaque::ToHost(v), geometry, opaque::ToHost(segment),
                      first_row);
  }
  void DoCopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row, int64_t rows,
                const DenseSegment& to, int64_t to_row) noexcept override {
    backend_->CopyKv(geometry, opaque::ToHost(from), from_row, rows, opaque::ToHost(to), to_row);
  }
  void DoSealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                const SealedSegment& to, int64_t slot) noexcept override {
    backend_->SealKv(geometry, opaque::ToHost(from), from_row, opaque::ToHost(to), slot);
  }
  void DoUnsealKv(KvGeometry geometry, const SealedSegment& from, int64_t slot,
                  const DenseSegment& to, int64_t to_row) noexcept override {
    backend_->UnsealKv(geometry, opaque::ToHost(from), slot, opaque::ToHost(to), to_row);
  }
  void DoChooseGroups(ConstRows masses, std::span<const int32_t> slots, int64_t count,
                      int32_t* chosen) noexcept override {
    backend_->ChooseGroups(opaque::ToHost(masses), {opaque::ToHost(slots.data()), slots.size()},
                           count, opaque::ToHost(chosen));
  }
  void DoAttend(const AttendArgs& args) noexcept override {
    std::vector<AttendRows> sequences(args.sequences.begin(), args.sequences.end());
    for (AttendRows& rows : sequences) {
      rows.kv = opaque::ToHost(rows.kv);
      rows.masses = opaque::ToHost(rows.masses);
    }
    AttendArgs on_host = args;
    on_host.q = opaque::ToHost(args.q);
    on_host.out = opaque::ToHost(args.out);
    on_host.sequences = sequences;
    backend_->Attend(on_host);
  }
  void DoWeighRows(const WeighArgs& args) noexcept override {
    WeighArgs on_host = args;
    on_host.q = opaque::ToHost(args.q);
    on_host.kv = opaque::ToHost(args.kv);
    on_host.masses = opaque::ToHost(args.masses);
    backend_->WeighRows(on_host);
  }
  void DoChooseRows(ConstRows masses, int kv_heads, RowPooling pooling, int64_t count,
                    int32_t* chosen) noexcept override {
    backend_->ChooseRows(opaque::ToHost(masses), kv_heads, pooling, count, opaque::ToHost(chosen));
  }
  void DoGatherKv(KvGeometry geometry, const KvView& from, const int32_t* rows, int64_t count,
                  const DenseSegment& to, int64_t to_row) noexcept override {
    backend_->GatherKv(geometry, opaque::ToHost(from), opaque::ToHost(rows), count,
                       opaque::ToHost(to), to_row);
  }
  void DoLoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                float* v) const noexcept override {
    backend_->LoadKv(geometry, opaque::ToHost(segment), row, k, v);
  }
  void DoLoadGroup(KvGeometry geometry, const SealedSegment& segment, int head, int64_t slot,
                   const GroupCodes& out) const noexcept override {
    backend_->LoadGroup(geometry, opaque::ToHost(segment), head, slot, out);
  }
  void DoRotate(Rows x, int heads, const Rotation& rotation,
                int64_t first_position) noexcept override {
    Rotation on_host = rotation;
    on_host.table = opaque::ToHost(rotation.table);
    backend_->Rotate(opaque::ToHost(x), heads, on_host, first_position);
  }
  void DoCopy(ConstRows from, Rows to) noexcept override {
    backend_->Copy(opaque::ToHost(from), opaque::ToHost(to));
  }
  void DoRmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) noexcept override {
    backend_->RmsNorm(opaque::ToHost(x), opaque::ToHost(weight), epsilon, opaque::ToHost(out));
  }
  void DoGatedActivation(ConstRows gate, ConstRows up, Rows out,
                         Activation activation) noexcept override {
    backend_->GatedActivation(opaque::ToHost(gate), opaque::ToHost(up), opaque::ToHost(out),
                              activation);
  }
  void DoScale(Rows x, float factor) noexcept override {
    backend_->Scale(opaque::ToHost(x), factor);
  }
  void DoAddScaled(ConstRows x, float factor, Rows sum) noexcept override {
    backend_->AddScaled(opaque::ToHost(x), factor, opaque::ToHost(sum));
  }
  void DoSoftCap(Rows x, float cap) noexcept override { backend_->SoftCap(opaque::ToHost(x), cap); }

  std::unique_ptr<Backend> backend_ = MakeReferenceBackend();
};

inline std::unique_ptr<Backend> MakeOpaqueBackend() { return std::make_unique<OpaqueBackend>(); }

}  // namespace quantspec
