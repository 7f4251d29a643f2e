#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/pack.h"

namespace quantspec::cpu {
namespace {

// Values below which handing work to the pool costs more than doing it here.
constexpr int64_t kInlineValues = 16 * 1024;

size_t Align(size_t bytes) { return (bytes + 63) / 64 * 64; }

bool IsQuantized(WeightFormat format) {
  return format == WeightFormat::kHq4 || format == WeightFormat::kHq8;
}

MatMulArgs ArgsOf(const Product& product, int64_t rows, const std::byte* x) {
  const WeightSpec& spec = product.weight->spec;
  MatMulArgs args;
  args.upper = product.weight->upper;
  const bool both = spec.format == WeightFormat::kHq8 && product.planes == Planes::kBoth;
  args.lower = both ? product.weight->lower : nullptr;
  args.format = spec.format;
  args.group = spec.group;
  args.inputs = spec.inputs;
  args.outputs = spec.outputs;
  args.x = x;
  args.rows = rows;
  args.y = product.y.data;
  args.y_stride = product.y.stride;
  args.bias = product.bias;
  args.accumulate = product.accumulate == Accumulate::kYes;
  args.fetch_weights = ThisCpuFetches().weights;
  return args;
}

// Blocks of outputs that a product computes.
struct BlockRange {
  int64_t first;
  int64_t count;
};
BlockRange BlocksOf(const Product& product) {
  return {product.first_output / kBlock, CeilDiv(product.OutputCount(), kBlock)};
}

// Records of a row of quantised activations.
int PlanesOf(Activations activations) { return activations == Activations::kInt16 ? 2 : 1; }

int64_t MostQuantizedRows(const ScratchLimits& limits) {
  return std::max(limits.rows, 2 * limits.step_rows);
}

}  // namespace

size_t CpuBackend::DenseRowsBytes(const ScratchLimits& limits) const {
  const size_t floats = InterleavedBytes(limits.rows, limits.inputs);
  return table_.matmul.halves == nullptr ? floats
                                         : std::max(floats, HalfBytes(limits.rows, limits.inputs));
}

size_t CpuBackend::ScratchBytes(const ScratchLimits& limits) const {
  return Align(QuantizedBytes(MostQuantizedRows(limits), limits.inputs)) +
         Align(DenseRowsBytes(limits)) + Align(AttentionScratchBytes(limits));
}

void CpuBackend::Reserve(const ScratchLimits& limits) {
  quantized_bytes_ = Align(QuantizedBytes(MostQuantizedRows(limits), limits.inputs));
  interleaved_bytes_ = Align(DenseRowsBytes(limits));
  limits_ = limits;
  scratch_ = Buffer(ScratchBytes(limits));
  quantized_ = scratch_.data();
  interleaved_ = quantized_ + quantized_bytes_;
  attention_scratch_ = interleaved_ + interleaved_bytes_;
}

WeightBytes CpuBackend::SizeOf(const WeightSpec& spec) const { return PackedBytes(spec); }

void CpuBackend::DoPackQuantized(const HqRows& rows, int64_t first_output,
                                 const PackedWeight& weight) const noexcept {
  PackQuantizedRows(rows, first_output, weight);
}

void CpuBackend::DoPackDense(ConstRows rows, int64_t first_output,
                             const PackedWeight& weight) const noexcept {
  PackDenseRows(rows, first_output, weight);
}

template <typename Prepare>
void CpuBackend::PrepareTiles(ConstRows x, int64_t tile_rows, const Prepare& prepare) {
  const int64_t tiles = CeilDiv(x.rows, tile_rows);
  if (x.rows * x.columns <= kInlineValues || tiles == 1) {
    prepare(0, tiles);
    return;
  }
  pool_.ForTasks(tiles, 0, [&](int, int64_t begin, int64_t end) { prepare(begin, end); });
}

CpuBackend::RowForm CpuBackend::FormOf(WeightFormat format, Activations activations) const {
  if (activations == Activations::kBf16) return RowForm::kHalves;
  if (IsQuantized(format)) return RowForm::kCodes;
  if (format == WeightFormat::kF32) return RowForm::kFloats;
  const MatMulKernels& kernels = table_.matmul;
  return kernels.halves != nullptr        ? RowForm::kHalves
         : kernels.dense_pairs != nullptr ? RowForm::kPairs
                                          : RowForm::kFloats;
}

void CpuBackend::PrepareRows(ConstRows x, RowForm form, Activations activations) {
  const MatMulKernels& kernels = table_.matmul;
  const int planes = PlanesOf(activations);
  switch (form) {
    case RowForm::kCodes:
      QS_CHECK(QuantizedBytes(planes * x.rows, x.columns) <= quantized_bytes_);
      PrepareTiles(x, kernels.quantized_rows / planes, [&](int64_t first, int64_t last) {
        kernels.quantize(x, planes, first, last, quantized_);
      });
      break;
    case RowForm::kHalves:
      QS_CHECK(HalfBytes(x.rows, x.columns) <= interleaved_bytes_);
      PrepareTiles(x, kHalfRows, [&](int64_t first, int64_t last) {
        kernels.pack_halves(x, first, last, interleaved_);
      });
      break;
    case RowForm::kPairs:
    case RowForm::kFloats:
      QS_CHECK(InterleavedBytes(x.rows, x.columns) <= interleaved_bytes_);
      PrepareTiles(x, kernels.dense_rows, [&](int64_t first, int64_t last) {
        (form == RowForm::kPairs ? kernels.interleave_pairs : kernels.interleave)(x, first, last,
                                                                                  interleaved_);
      });
      break;
  }
}

void CpuBackend::DoMatMul(ConstRows x, std::span<const Product> products,
                          Activations activations) noexcept {
  if (x.rows == 0) return;
  const auto is_f32 = [](const Product& product) {
    return product.weight->spec.format == WeightFormat::kF32;
  };
  if (activations == Activations::kBf16 &&
      (table_.matmul.halves == nullptr || std::ranges::any_of(products, is_f32))) {
    activations = Activations::kInt8;
  }
  bool is_ready[4] = {};
  int64_t blocks = 0;
  for (const Product& product : products) {
    const RowForm form = FormOf(product.weight->spec.format, activations);
    bool& ready = is_ready[static_cast<int>(form)];
    if (!ready) PrepareRows(x, form, activations);
    ready = true;
    blocks += BlocksOf(product).count;
  }
  const auto count = [&](RowForm form) { return int{is_ready[static_cast<int>(form)]}; };
  // They share memory.
  QS_CHECK(count(RowForm::kHalves) + count(RowForm::kPairs) + count(RowForm::kFloats) <= 1);
  pool_.ForTasks(blocks, 0, [&](int, int64_t begin, int64_t end) {
    MultiplyBlocks(x.rows, activations, products, begin, end);
  });
}

void CpuBackend::MultiplyBlocks(int64_t rows, Activations activations,
                                std::span<const Product> products, int64_t begin,
                                int64_t end) const {
  for (const Product& product : products) {
    const auto [first, count] = BlocksOf(product);
    const int64_t last = std::min(end, count);
    if (begin < last) MultiplyBlocks(product, rows, activations, first + begin, first + last);
    begin = std::max<int64_t>(begin - count, 0);
    end -= count;
    if (end <= 0) return;
  }
}

void CpuBackend::MultiplyBlocks(const Product& product, int64_t rows, Activations activations,
                                int64_t begin, int64_t end) const {
  const MatMulKernels& kernels = table_.matmul;
  const RowForm form = FormOf(product.weight->spec.format, activations);
  MatMulArgs args = ArgsOf(product, rows, form == RowForm::kCodes ? quantized_ : interleaved_);
  args.x_planes = PlanesOf(activations);
  (form == RowForm::kCodes    ? kernels.quantized
   : form == RowForm::kHalves ? kernels.halves
   : form == RowForm::kPairs  ? kernels.dense_pairs
                              : kernels.dense)(args, begin, end);
  if (product.maxima.data == nullptr) return;
  static_assert(kBlock == kPackRows);
  const int64_t first = begin * kBlock;
  const int64_t count = std::min(end * kBlock, args.outputs) - first;
  for (int64_t row = 0; row < rows; ++row) {
    table_.rows.pack_maxima(product.y.Row(row) + first, count, product.maxima.Row(row) + begin);
  }
}

template <typename Each>
void CpuBackend::ForRows(int64_t rows, int64_t columns, const Each& each) {
  ForUnits(rows, rows * columns <= kInlineValues, each);
}

void CpuBackend::DoRotate(Rows x, int heads, const Rotation& rotation,
                          int64_t first_position) noexcept {
  const int head_dim = static_cast<int>(x.columns / heads);
  ForRows(x.rows, x.columns, [&](int64_t row) {
    table_.rows.rope(x.Row(row), rotation.table + (first_position + row) * rotation.rotated, heads,
                     head_dim, rotation.rotated, rotation.layout);
  });
}

void CpuBackend::DoRmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) noexcept {
  ForRows(x.rows, x.columns, [&](int64_t row) {
    table_.rows.rms_norm(x.Row(row), weight, epsilon, x.columns, out.Row(row));
  });
}

void CpuBackend::DoGatedActivation(ConstRows gate, ConstRows up, Rows out,
                                   Activation activation) noexcept {
  const auto activate =
      activation == Activation::kSilu ? table_.rows.silu_gate : table_.rows.gelu_gate;
  ForRows(gate.rows, gate.columns,
          [&](int64_t row) { activate(gate.Row(row), up.Row(row), gate.columns, out.Row(row)); });
}

void CpuBackend::DoScale(Rows x, float factor) noexcept {
  ForRows(x.rows, x.columns,
          [&](int64_t row) { table_.rows.scale(x.Row(row), factor, x.columns); });
}

void CpuBackend::DoAddScaled(ConstRows x, float factor, Rows sum) noexcept {
  ForRows(x.rows, x.columns, [&](int64_t row) {
    table_.rows.add_scaled(x.Row(row), factor, x.columns, sum.Row(row));
  });
}

void CpuBackend::DoSoftCap(Rows x, float cap) noexcept {
  ForRows(x.rows, x.columns,
          [&](int64_t row) { table_.rows.soft_cap(x.Row(row), cap, x.columns); });
}

}  // namespace quantspec::cpu

namespace quantspec {

std::unique_ptr<Backend> MakeCpuBackend(ThreadPool& pool) {
  return std::make_unique<cpu::CpuBackend>(pool, cpu::DefaultTable());
}

std::unique_ptr<Backend> MakeCpuBackend(ThreadPool& pool, std::string_view isa) {
  return std::make_unique<cpu::CpuBackend>(pool, cpu::FindTable(isa));
}

std::span<const std::string_view> AvailableIsas() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const cpu::KernelTable* table : cpu::AvailableTables()) list.push_back(table->isa);
    return list;
  }();
  return names;
}

}  // namespace quantspec
