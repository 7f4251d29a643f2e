// The specification in code: plain loops over plain layouts, sums in double, nothing rounded beyond
// the stored formats. Shares nothing with the fast backends but quant/.
//
// Layouts. Weights: dense values [outputs][inputs]; codes [outputs][inputs] one a byte, then (upper
// only) GroupScale [outputs][inputs / group]. Dense segments: [token][kv_head][head_dim]. Sealed
// groups: codes [K, V][token][head_dim] one a byte a plane; scales K [head_dim], then V
// [token][head_dim / ValueGroup].
#pragma once

#include "base/buffer.h"
#include "kernels/host_backend.h"

namespace quantspec {

class ReferenceBackend final : public HostBackend {
 public:
  std::string_view isa() const override { return "reference"; }
  size_t ScratchBytes(const ScratchLimits& limits) const override;
  void Reserve(const ScratchLimits& limits) override;
  WeightBytes SizeOf(const WeightSpec& spec) const override;
  size_t DenseBytes(KvGeometry geometry, KvType type, int64_t capacity) const override;
  SealedBytes SizeOf(KvGeometry geometry, int64_t capacity) const override;

 private:
  void DoPackQuantized(const HqRows& rows, int64_t first_output,
                       const PackedWeight& weight) const noexcept override;
  void DoPackDense(ConstRows rows, int64_t first_output,
                   const PackedWeight& weight) const noexcept override;
  void DoMatMul(ConstRows x, std::span<const Product> products,
                Activations activations) noexcept override;
  void DoStoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
                 int64_t first_row) noexcept override;
  void DoCopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row, int64_t rows,
                const DenseSegment& to, int64_t to_row) noexcept override;
  void DoSealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                const SealedSegment& to, int64_t slot) noexcept override;
  void DoUnsealKv(KvGeometry geometry, const SealedSegment& from, int64_t slot,
                  const DenseSegment& to, int64_t to_row) noexcept override;
  void DoChooseGroups(ConstRows masses, std::span<const int32_t> slots, int64_t count,
                      int32_t* chosen) noexcept override;
  void DoAttend(const AttendArgs& args) noexcept override;
  void DoWeighRows(const WeighArgs& args) noexcept override;
  void DoChooseRows(ConstRows masses, int kv_heads, RowPooling pooling, int64_t count,
                    int32_t* chosen) noexcept override;
  void DoGatherKv(KvGeometry geometry, const KvView& from, const int32_t* rows, int64_t count,
                  const DenseSegment& to, int64_t to_row) noexcept override;
  void DoLoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                float* v) const noexcept override;
  void DoLoadGroup(KvGeometry geometry, const SealedSegment& segment, int head, int64_t slot,
                   const GroupCodes& out) const noexcept override;
  void DoRotate(Rows x, int heads, const Rotation& rotation,
                int64_t first_position) noexcept override;
  void DoRmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) noexcept override;
  void DoGatedActivation(ConstRows gate, ConstRows up, Rows out,
                         Activation activation) noexcept override;
  void DoScale(Rows x, float factor) noexcept override;
  void DoAddScaled(ConstRows x, float factor, Rows sum) noexcept override;
  void DoSoftCap(Rows x, float cap) noexcept override;

  // One sequence of a call.
  void AttendSequence(const AttendArgs& args, const AttendRows& rows);

  Buffer scores_;  // double [positions]
};

}  // namespace quantspec
