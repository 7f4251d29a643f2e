// The Backend on CPUs: picks a kernel table, owns scratch memory, spreads work over the pool.
// Linear layers and rows are in cpu_backend.cc, the cache in kv_backend.cc, attention and the
// choice of groups in attention_backend.cc.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/host_backend.h"

namespace quantspec::cpu {

// Calls each(thread, unit) for all units: here if the work is small or one unit, else on the pool,
// at most `most` at once (0: no limit).
template <typename Each>
void RunUnits(ThreadPool& pool, int64_t units, int64_t most, bool is_small, const Each& each) {
  if (is_small || units == 1) {
    for (int64_t unit = 0; unit < units; ++unit) each(0, unit);
    return;
  }
  pool.ForTasks(units, most, [&](int thread, int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) each(thread, unit);
  });
}

class CpuBackend final : public HostBackend {
 public:
  // Both must outlive the backend.
  CpuBackend(ThreadPool& pool, const KernelTable& table) : pool_(pool), table_(table) {}

  std::string_view isa() const override { return table_.isa; }
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

  size_t DenseRowsBytes(const ScratchLimits& limits) const;  // of `interleaved_`
  // Attention's share of the scratch memory; attention_backend.cc.
  size_t AttentionScratchBytes(const ScratchLimits& limits) const;

  // Calls each(unit) for all units: here if the work is small, else on the pool.
  template <typename Each>
  void ForUnits(int64_t units, bool is_small, const Each& each) {
    RunUnits(pool_, units, 0, is_small, [&](int, int64_t unit) { each(unit); });
  }
  // Calls each(row) for all rows: here if the work is small, else on the pool.
  template <typename Each>
  void ForRows(int64_t rows, int64_t columns, const Each& each);
  // Output blocks [begin, end), counted through all products.
  void MultiplyBlocks(int64_t rows, Activations activations, std::span<const Product> products,
                      int64_t begin, int64_t end) const;
  // One product over rows that are prepared.
  void MultiplyBlocks(const Product& product, int64_t rows, Activations activations, int64_t begin,
                      int64_t end) const;
  // What a product reads of the rows; MatMulKernels has a function to prepare each.
  enum class RowForm : uint8_t { kCodes, kHalves, kPairs, kFloats };
  RowForm FormOf(WeightFormat format, Activations activations) const;
  void PrepareRows(ConstRows x, RowForm form, Activations activations);
  template <typename Prepare>
  void PrepareTiles(ConstRows x, int64_t tile_rows, const Prepare& prepare);

  ThreadPool& pool_;
  const KernelTable& table_;
  ScratchLimits limits_;
  Buffer scratch_;
  std::byte* quantized_ = nullptr;          // rows of a MatMul, for quantised weights
  std::byte* interleaved_ = nullptr;        // the same, for dense weights, or as halves
  std::byte* attention_scratch_ = nullptr;  // AttentionScratchBytes
  size_t quantized_bytes_ = 0;
  size_t interleaved_bytes_ = 0;
};

}  // namespace quantspec::cpu
