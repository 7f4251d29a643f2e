// The specification in code: plain loops over plain layouts, sums in double, nothing rounded beyond
// the stored formats. Shares nothing with the fast backends but quant/.
//
// Layouts. Weights: dense values [outputs][inputs]; codes [outputs][inputs] one a byte, then (upper
// only) GroupScale [outputs][inputs / group]. Dense segments: [token][kv_head][head_dim]. Sealed
// groups: codes [K, V][token][head_dim] one a byte a plane; scales K [head_dim], then V
// [token][head_dim / ValueGroup].
#pragma once

#include "base/buffer.h"
#include "kernels/backend.h"

namespace quantspec {

class ReferenceBackend final : public Backend {
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
  void DoMatMul(ConstRows x, std::span<const Product> products, Inputs inputs) noexcept override;
  void DoStoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
                 int64_t first_row) noexcept override;
  void DoCopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row, int64_t rows,
                const DenseSegment& to, int64_t to_row) noexcept override;
  void DoSealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                const SealedSegment& to, int64_t first_group, int64_t groups) noexcept override;
  void DoAttend(const AttendArgs& args) noexcept override;
  void DoLoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                float* v) const noexcept override;
  void DoLoadGroup(KvGeometry geometry, const SealedSegment& segment, int head, int64_t group,
                   const GroupCodes& out) const noexcept override;
  void DoEmbed(const EmbeddingTable& table, std::span<const int32_t> tokens,
               Rows out) noexcept override;
  void DoRmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) noexcept override;
  void DoGatedActivation(ConstRows gate, ConstRows up, Rows out) noexcept override;

  Buffer scores_;  // double [positions]
};

}  // namespace quantspec
