// Linear layers on the CPU: layouts of packed weights and prepared rows, and the functions of one
// instruction set that work on them.
//
// Weights come in blocks of 16 outputs, each a contiguous stream; outputs are padded to 16 with
// zeros. All instruction sets share the layouts.
//
// Quantised, `upper`: for every weight group the codes of its inputs, 32 at a time, then 16 scales
// and 16 zeros in f16. `lower`: the codes alone. 32 inputs of 16 outputs take 4 vectors of 64
// bytes; byte 4 o + j of vector v holds output o's code of input 8 v + j in its low nibble and of
// input 8 v + 4 + j in its high one.
//
// Dense: bf16 in pairs of inputs (output o's inputs 2 k, 2 k + 1 at [k][o][0..1]), f32 one input
// after another ([input][o]). Inputs are padded to even.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/view.h"
#include "kernels/backend.h"

namespace quantspec::cpu {

inline constexpr int64_t kBlock = 16;       // outputs
inline constexpr int64_t kQuantGroup = 32;  // inputs sharing an activation scale
inline constexpr int64_t kCodeBytes = kBlock * kQuantGroup / 2;
inline constexpr int64_t kScaleBytes = 2 * kBlock * 2;

// Bytes of one block of 16 outputs.
inline int64_t UpperBlockBytes(int64_t inputs, int group) {
  return inputs / kQuantGroup * kCodeBytes + inputs / group * kScaleBytes;
}
inline int64_t LowerBlockBytes(int64_t inputs) { return inputs / kQuantGroup * kCodeBytes; }
inline int64_t DenseBlockBytes(WeightFormat format, int64_t inputs) {
  return RoundUp(inputs, 2) * kBlock * (format == WeightFormat::kBf16 ? 2 : 4);
}

// Rows are worked on in tiles of up to `most` rows, as even as possible.
struct Tiling {
  int64_t rows;
  int64_t tiles;
  Tiling(int64_t row_count, int64_t most) : rows(row_count), tiles(CeilDiv(row_count, most)) {}
  int64_t Begin(int64_t tile) const { return rows * tile / tiles; }
  int64_t Height(int64_t tile) const { return Begin(tile + 1) - Begin(tile); }
};

// 32 inputs of one row, quantised. A tile of R rows is stored [inputs / 32][R] records, tile after
// tile. With residual d = sum - scale * (sum of q):
//   sum_i (Z + U S) x_i          ~ S (scale * dot(U, q) + center4) + Z sum,  center4 = 8 d
//   sum_i (Z + (c - 8) S/16) x_i ~ S/16 (scale * dot(c, q) + center8) + Z sum,  center8 = 128 d - 8
//   sum
// Thus the rounding of x meets codes centred on zero, not their mean. Two planes of a row are two
// records, one after the other: the quantised x and then what it leaves of x, quantised likewise;
// `sum` and d are then each record's own (d = 0 in the first), and the results are added.
struct QuantRecord {
  int8_t q[kQuantGroup];  // in [-127, 127]
  float scale;
  float center4;
  float center8;
  float sum;  // of the exact inputs
};
static_assert(sizeof(QuantRecord) == 48);

inline size_t QuantizedBytes(int64_t rows, int64_t inputs) {
  return static_cast<size_t>(rows * CeilDiv(inputs, kQuantGroup)) * sizeof(QuantRecord);
}
// Dense rows: a tile of R rows is stored [inputs, padded to even][R] floats.
inline size_t InterleavedBytes(int64_t rows, int64_t inputs) {
  return static_cast<size_t>(rows * RoundUp(inputs, 2)) * sizeof(float);
}

// Rows for products of tiles: whole tiles of rows, 32 inputs at a time, as bf16.
inline constexpr int64_t kHalfRows = 16;
inline size_t HalfBytes(int64_t rows, int64_t inputs) {
  return static_cast<size_t>(RoundUp(rows, kHalfRows) * RoundUp(inputs, 32)) * 2;
}

// One product over prepared rows.
struct MatMulArgs {
  const std::byte* upper = nullptr;
  const std::byte* lower = nullptr;  // null: read the upper plane only
  WeightFormat format = WeightFormat::kF32;
  int group = 0;
  int64_t inputs = 0;
  int64_t outputs = 0;
  const std::byte* x = nullptr;  // prepared
  int x_planes = 1;              // records a row
  int64_t rows = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  const float* bias = nullptr;
  bool accumulate = false;
  bool fetch_weights = false;  // ahead by instructions, for any number of rows
};

struct MatMulKernels {
  int quantized_rows;  // most records of a quantised tile
  int dense_rows;      // most rows of a dense tile
  // Prepare tiles [first, last) of x into `out`, the start of tile 0.
  void (*quantize)(ConstRows x, int planes, int64_t first, int64_t last, std::byte* out);
  void (*interleave)(ConstRows x, int64_t first, int64_t last, std::byte* out);
  // Compute output blocks [first, last) of all rows.
  void (*quantized)(const MatMulArgs& args, int64_t first, int64_t last);
  void (*dense)(const MatMulArgs& args, int64_t first, int64_t last);
  // The same for kBf16 over rows rounded to pairs of bf16; null where the instruction set has no
  // products of those.
  void (*interleave_pairs)(ConstRows x, int64_t first, int64_t last, std::byte* out);
  void (*dense_pairs)(const MatMulArgs& args, int64_t first, int64_t last);
  // The same for all but kF32, with rows (tiles of kHalfRows) and weights as bf16; null where the
  // instruction set has no products of tiles.
  void (*pack_halves)(ConstRows x, int64_t first, int64_t last, std::byte* out);
  void (*halves)(const MatMulArgs& args, int64_t first, int64_t last);
};

}  // namespace quantspec::cpu
