// The operations a transformer needs, and nothing else: read this first. Three implementations:
// reference (scalar, the specification), cpu (SIMD and threads), cuda (to come).
//
// Shapes are checked here, once, in the public non-virtual functions; the private virtual Do...
// functions below them assume. Every operation is batch-invariant: the result of a row does not
// depend on how many rows ride along nor on the number of threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "base/view.h"
#include "quant/ggml_blocks.h"
#include "quant/hq8.h"

namespace quantspec {

// ---------------------------------------------------------------------------------- weights

enum class WeightFormat : uint8_t {
  kF32,
  kBf16,
  kHq4,  // upper plane and scales only: imported 4-bit sources, and 4-bit draft copies
  kHq8,  // both planes
};

struct WeightSpec {
  WeightFormat format = WeightFormat::kF32;
  int64_t outputs = 0;
  int64_t inputs = 0;
  int group = 0;  // kHq4, kHq8: inputs sharing a scale: 32, 64 or 128, dividing `inputs`
};

// Sizes of a packed weight's planes, in bytes, multiples of 64.
struct WeightBytes {
  size_t upper = 0;  // dense values, or upper codes with the scales
  size_t lower = 0;  // lower codes; 0 unless kHq8
};

// A weight matrix in a backend's own order. Both pointers are aligned to 64 bytes and owned by the
// model; a draft may see the same planes with `lower` unused.
struct PackedWeight {
  WeightSpec spec;
  std::byte* upper = nullptr;
  std::byte* lower = nullptr;
};

// Rows packed together: calls of Pack start at multiples of it.
inline constexpr int64_t kPackRows = 16;

// How quantised weights see their inputs: as int8 codes in groups of 32; or as two planes of them,
// the second for what the first leaves, about 15 bits. Costs as much as twice the rows, which is
// little where few rows wait for memory. kHalf is for prompts: where the hardware multiplies tiles
// of bf16, inputs and weights are rounded to that, which is faster for many rows; elsewhere it is
// kOnePlane. kF32 weights see floats, kBf16 ones floats or, where the hardware is faster so, bf16,
// whatever their inputs are said to be.
enum class Inputs : uint8_t { kOnePlane, kTwoPlanes, kHalf };

// One product of a MatMul: y = x * weight^T (+ bias) or y += ... for residual sums.
enum class Accumulate : uint8_t { kNo, kYes };
inline constexpr int64_t kAllOutputs = -1;
struct Product {
  const PackedWeight* weight = nullptr;
  Planes planes = Planes::kBoth;  // kUpper: read the upper plane of a kHq8 weight only
  const float* bias = nullptr;    // [outputs] or null
  Rows y;                         // [rows, outputs]
  Accumulate accumulate = Accumulate::kNo;
  // The outputs to compute, as PackQuantized counts them; others of y stay as they are.
  int64_t first_output = 0;
  int64_t outputs = kAllOutputs;
  // If it has data: [rows, outputs / kPackRows, rounded up] the largest of each kPackRows values of
  // y, -infinity in place of NaN, of the outputs that are computed.
  Rows maxima = {};
  int64_t OutputCount() const { return outputs == kAllOutputs ? weight->spec.outputs : outputs; }
};

// ------------------------------------------------------------------------------------ cache

enum class KvType : uint8_t { kF16, kF32 };

struct KvGeometry {
  int kv_heads = 0;
  int head_dim = 0;  // a multiple of 16, at most 256
};

// Tokens of keys and values of all heads of one layer, in a backend's own order. Rows
// [0, rows) are live; row i holds position first_position + i.
struct DenseSegment {
  KvType type = KvType::kF16;
  std::byte* keys = nullptr;  // DenseBytes(...) each, aligned to 64 bytes
  std::byte* values = nullptr;
  int64_t capacity = 0;  // rows; a multiple of kDenseRows
  int64_t rows = 0;
  int64_t first_position = 0;
};
inline constexpr int64_t kDenseRows = 16;

// Sealed groups of kKvGroup tokens in HQ8, of all heads of one layer, in a backend's own order.
// Each plane is [kv_head][group][bytes of a group] without padding, so a head's live groups are one
// stretch and a group's bytes are SizeOf(geometry, 1) / kv_heads. Group 0 starts at position 0.
struct SealedSegment {
  std::byte* upper = nullptr;  // K and V codes, upper plane
  std::byte* lower = nullptr;
  std::byte* scales = nullptr;  // scales and zeros of keys (per channel) and values (per token)
  int64_t capacity = 0;         // groups
  int64_t groups = 0;           // live
};
struct SealedBytes {
  size_t upper = 0;  // of one layer: all heads, `capacity` groups; multiples of 64
  size_t lower = 0;
  size_t scales = 0;
};

// What a reader attends over: one softmax over the sealed groups and the dense segments, in this
// order. A query at position p sees sealed groups whole and dense rows at positions <= p.
inline constexpr int kMaxDenseSegments = 2;
inline constexpr int64_t kStepTokens = 17;  // most rows of a sequence's step; more is a prefill
struct KvView {
  KvGeometry geometry;
  Planes planes = Planes::kBoth;
  SealedSegment sealed;
  // The sealed groups to read, of each KV head as many, ascending; null: all.
  const int32_t* chosen = nullptr;  // [kv_heads][chosen_groups]
  int64_t chosen_groups = 0;
  int64_t ReadGroups() const { return chosen == nullptr ? sealed.groups : chosen_groups; }
  // If not null, a step of at most kStepTokens rows that reads all groups leaves here what each
  // weighs: log2 of the share of the softmax that it takes of the row that gives it most, within
  // 0.1 (but for what rounding codes and queries does to scores).
  float* group_weights = nullptr;  // [kv_heads][sealed.groups]
  DenseSegment dense[kMaxDenseSegments];
  int dense_count = 0;
};

// What attention over dense 16-bit segments may multiply: floats, or numbers rounded to 16 bits
// (8 significant bits or more), as GPUs do, where the hardware is faster so. Sums are float.
enum class AttendProducts : uint8_t { kFloat, kHalf };

enum class RopeLayout : uint8_t {
  kPairs,   // (0,1), (2,3), ...: GGUF's llama family
  kHalves,  // (i, i + n/2): GGUF's qwen family
};

// RoPE: turns the first `rotated` channels of every head by angles that grow with the position.
struct Rotation {
  int rotated = 0;  // even, at most head_dim; 0: nothing is turned
  RopeLayout layout = RopeLayout::kPairs;
  // Cosine and sine of position p, pair i: at [p * rotated + 2 i] and [.. + 1]; a table made by the
  // model for all positions of the context, so that a row's angle has one value everywhere.
  const float* table = nullptr;
};

struct AttendArgs {
  ConstRows q;  // [tokens, q_heads * head_dim], unscaled
  // The tokens' own keys and values [tokens, kv_heads * head_dim], which are written to the dense
  // rows of their positions before anything is read; f16 saturates. Empty: they are there already.
  ConstRows k, v;
  Rotation rotation;           // of q and, before they are written, k
  KvView kv;                   // with rows for these tokens
  int64_t first_position = 0;  // of q's row 0; row i is at first_position + i
  int q_heads = 0;     // a multiple of kv_heads; head h reads KV head h / (q_heads/kv_heads)
  float scale = 1.0f;  // usually 1 / sqrt(head_dim)
  Rows out;            // [tokens, q_heads * head_dim]
  AttendProducts products = AttendProducts::kFloat;
};

// Rows [first, last) of a segment that belong to the tokens of a call: row `first` is token
// segment.first_position + first - args.first_position of them.
struct RowRange {
  int64_t first;
  int64_t last;
};
inline RowRange OwnRows(const AttendArgs& args, const DenseSegment& segment) {
  const int64_t first = args.first_position - segment.first_position;
  return {std::clamp(first, int64_t{0}, segment.rows),
          std::clamp(first + args.q.rows, int64_t{0}, segment.rows)};
}

// ------------------------------------------------------------------------------- small ones

// The embedding matrix as it stands in the file.
struct EmbeddingTable {
  GgmlType type = GgmlType::kF32;
  const std::byte* data = nullptr;  // [vocab, hidden] in blocks
  int64_t vocab = 0;
  int64_t hidden = 0;
};

// The largest shapes a backend will be called with; decides its scratch memory.
struct ScratchLimits {
  int64_t rows = 0;       // of a MatMul or an Attend
  int64_t inputs = 0;     // of any weight
  int64_t positions = 0;  // of a KvView
  KvGeometry geometry;
  int q_heads = 0;
  int64_t fine_rows = 0;  // of a MatMul of two planes of activations
};

// ---------------------------------------------------------------------------------- backend

// Holds scratch memory, so one object serves one caller at a time; packed weights and segments are
// plain bytes and may be shared by all objects of one kind. All operations but the constructor and
// Reserve are free of allocations. Threads come from the pool given at construction.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view isa() const = 0;  // "amx", "avx512", "avx2", "portable", "reference"

  // Bytes that Reserve will take for these limits; exact.
  virtual size_t ScratchBytes(const ScratchLimits& limits) const = 0;
  // Takes the scratch memory. Must come before the first operation.
  virtual void Reserve(const ScratchLimits& limits) = 0;

  // ---- weights
  virtual WeightBytes SizeOf(const WeightSpec& spec) const = 0;
  // Packs logical rows [first_output, first_output + rows) of `weight`; first_output is a multiple
  // of kPackRows, and so is the number of rows except at the end. Thread-safe for disjoint rows.
  void PackQuantized(const HqRows& rows, int64_t first_output, const PackedWeight& weight) const;
  // The same for kF32 and kBf16, from float rows [rows, inputs].
  void PackDense(ConstRows rows, int64_t first_output, const PackedWeight& weight) const;
  // All products share x [rows, inputs]; kF32 and kBf16 weights are not mixed. Two planes: at most
  // ScratchLimits::fine_rows rows.
  void MatMul(ConstRows x, std::span<const Product> products, Inputs inputs = Inputs::kOnePlane);

  // ---- cache
  // Bytes of keys (and again of values) of a dense segment; a multiple of 64.
  virtual size_t DenseBytes(KvGeometry geometry, KvType type, int64_t capacity) const = 0;
  virtual SealedBytes SizeOf(KvGeometry geometry, int64_t capacity) const = 0;
  // Writes k, v [tokens, kv_heads * head_dim] to rows [first_row, first_row + tokens). f16
  // saturates.
  void StoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
               int64_t first_row);
  // Copies rows between dense segments of any type.
  void CopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row, int64_t rows,
              const DenseSegment& to, int64_t to_row);
  // Seals `groups` groups of kKvGroup rows starting at from_row into groups first_group, ...
  void SealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
              const SealedSegment& to, int64_t first_group, int64_t groups);
  void Attend(const AttendArgs& args);
  // For digests and tests: one row of a dense segment as float, k and v [kv_heads * head_dim] ...
  void LoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
              float* v) const;
  // ... and the logical codes of one head and group: k, v codes [kKvGroup, head_dim] a plane, key
  // scales [head_dim], value scales [kKvGroup, head_dim / ValueGroup].
  struct GroupCodes {
    uint8_t *k_upper, *k_lower, *v_upper, *v_lower;
    GroupScale *k_scales, *v_scales;
  };
  void LoadGroup(KvGeometry geometry, const SealedSegment& segment, int head, int64_t group,
                 const GroupCodes& out) const;

  // ---- rows
  void Embed(const EmbeddingTable& table, std::span<const int32_t> tokens, Rows out);
  // out = x / rms(x) * weight, a row at a time; in place allowed. weight [columns].
  void RmsNorm(ConstRows x, const float* weight, float epsilon, Rows out);
  // out = silu(gate) * up; in place allowed.
  void GatedActivation(ConstRows gate, ConstRows up, Rows out);

 private:
  virtual void DoPackQuantized(const HqRows& rows, int64_t first_output,
                               const PackedWeight& weight) const noexcept = 0;
  virtual void DoPackDense(ConstRows rows, int64_t first_output,
                           const PackedWeight& weight) const noexcept = 0;
  virtual void DoMatMul(ConstRows x, std::span<const Product> products, Inputs inputs) noexcept = 0;
  virtual void DoStoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
                         int64_t first_row) noexcept = 0;
  virtual void DoCopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                        int64_t rows, const DenseSegment& to, int64_t to_row) noexcept = 0;
  virtual void DoSealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                        const SealedSegment& to, int64_t first_group, int64_t groups) noexcept = 0;
  virtual void DoAttend(const AttendArgs& args) noexcept = 0;
  virtual void DoLoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                        float* v) const noexcept = 0;
  virtual void DoLoadGroup(KvGeometry geometry, const SealedSegment& segment, int head,
                           int64_t group, const GroupCodes& out) const noexcept = 0;
  virtual void DoEmbed(const EmbeddingTable& table, std::span<const int32_t> tokens,
                       Rows out) noexcept = 0;
  virtual void DoRmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) noexcept = 0;
  virtual void DoGatedActivation(ConstRows gate, ConstRows up, Rows out) noexcept = 0;
};

// The scalar specification. Activations stay float, nothing is rounded beyond the stored formats.
std::unique_ptr<Backend> MakeReferenceBackend();

// The best instruction set this CPU has, or the lower one that QUANTSPEC_ISA names. Throws
// Error{kUsage} for an unknown name or one that this CPU lacks. `pool` must outlive the backend.
std::unique_ptr<Backend> MakeCpuBackend(ThreadPool& pool);

// Names of the instruction sets this CPU can run, best first; for tests. MakeCpuBackend(pool, isa)
// takes one of them.
std::span<const std::string_view> AvailableIsas();
std::unique_ptr<Backend> MakeCpuBackend(ThreadPool& pool, std::string_view isa);

}  // namespace quantspec
