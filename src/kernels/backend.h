// The operations that a transformer and its drafts need, and nothing else: read this first.
// Implementations: reference (scalar, the specification) and cpu (SIMD and threads).
//
// Shapes are checked here, once, in the public non-virtual functions; the private virtual Do...
// functions below them assume. Every operation is batch-invariant: the result of a row does not
// depend on how many rows ride along, whose they are, nor on the number of threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "base/view.h"
#include "kernels/device_memory.h"
#include "kernels/row_types.h"
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

// How a MatMul reads its activations. Quantised weights see them as kInt8, codes of 8 bits in
// groups of 32, or as kInt16, two such codes a value, about 15 bits, which costs as much as twice
// the rows. kBf16 is for prompts: where the hardware multiplies tiles of bf16, activations and
// weights are rounded to that, which is faster for many rows; elsewhere it is kInt8. kF32 weights
// see floats, kBf16 ones floats or, where the hardware is faster so, bf16, whatever is asked for.
enum class Activations : uint8_t { kInt8, kInt16, kBf16 };

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

// Tokens of keys and values of all heads of one layer, in a backend's own order. Of the storage's
// rows, [first_row, first_row + rows) are live: what attends reads these alone. Row first_row + i
// holds position first_position + i. Arguments of operations count rows of the storage.
struct DenseSegment {
  KvType type = KvType::kF16;
  std::byte* keys = nullptr;  // DenseBytes(...) each, aligned to 64 bytes
  std::byte* values = nullptr;
  int64_t capacity = 0;  // rows; a multiple of kDenseRows
  int64_t rows = 0;
  int64_t first_position = 0;
  int64_t first_row = 0;  // a multiple of kDenseRows
};
inline constexpr int64_t kDenseRows = 16;

// The slots of one layer's share of the group pool: each holds kKvGroup tokens in HQ8, of all
// heads, in a backend's own order. Each plane is [kv_head][slot][bytes of a group] without padding,
// so neighbouring slots of a head are one stretch; a group's bytes are SizeOf(geometry, 1) /
// kv_heads.
struct SealedSegment {
  std::byte* upper = nullptr;  // K and V codes, upper plane
  std::byte* lower = nullptr;
  std::byte* scales = nullptr;  // scales and zeros of keys (per channel) and values (per token)
  int64_t capacity = 0;         // slots
};
struct SealedBytes {
  size_t upper = 0;  // of one layer: all heads, `capacity` slots; multiples of 64
  size_t lower = 0;
  size_t scales = 0;
};

// Sealed groups that a reader reads, in the order of their tokens.
struct GroupRun {
  const int32_t* slots = nullptr;  // [count], or [kv_heads][count] with `by_head`; device memory
  int64_t count = 0;
  bool by_head = false;  // every KV head reads slots of its own
  Planes planes = Planes::kBoth;
};

// What a sequence's rows attend over: one softmax over the runs, then the dense segments, in this
// order. A query at position p sees the groups of runs whole and dense rows at positions <= p; with
// a window (AttendArgs), there are no runs, and it sees dense rows at positions > p - window.
inline constexpr int kMaxRuns = 2;
inline constexpr int kMaxDenseSegments = 3;
struct KvView {
  SealedSegment sealed;
  GroupRun runs[kMaxRuns];
  int run_count = 0;
  DenseSegment dense[kMaxDenseSegments];
  int dense_count = 0;

  int64_t Groups() const {
    int64_t groups = 0;
    for (int i = 0; i < run_count; ++i) groups += runs[i].count;
    return groups;
  }
  int64_t Tokens() const {
    int64_t tokens = Groups() * kKvGroup;
    for (int i = 0; i < dense_count; ++i) tokens += dense[i].rows;
    return tokens;
  }
};

// The arithmetic of an Attend; a row's result depends on it, never on the rows beside it.
enum class AttendMath : uint8_t {
  kCodes,  // decoding: integer products with the codes of sealed groups, floats with dense rows
  kBf16,   // prompts: groups are unpacked; products in bf16 where the hardware is faster so, as on
           // GPUs, else in floats. Sums are float.
  kFloat,  // as kBf16, always in floats
};

// Rows [first_row, first_row + rows) of a call are one sequence's, at consecutive positions.
inline constexpr int64_t kStepRows = 17;  // most rows of a sequence in a call of kCodes
struct AttendRows {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_position = 0;  // of first_row; above every sealed token
  KvView kv;                   // holds the keys and values of these rows, too
  // If not null, out: log2 of the share of the softmax that each group of the first run, which must
  // not be by head, takes; within 0.1 but for rounded scores. kCodes: of the row (and query head)
  // that gives it most; else of the last row. Device memory.
  float* masses = nullptr;  // [kv_heads][runs[0].count]

  int64_t EndPosition() const { return first_position + rows; }
};

struct AttendArgs {
  KvGeometry geometry;
  int q_heads = 0;     // a multiple of kv_heads; head h reads KV head h / (q_heads / kv_heads)
  float scale = 1.0f;  // usually 1 / sqrt(head_dim)
  AttendMath math = AttendMath::kCodes;
  int64_t window = 0;  // tokens that a query sees, itself included; 0: all
  float softcap = 0;   // a scaled score x counts as softcap * tanh(x / softcap); 0: as x
  ConstRows q;         // [rows, q_heads * head_dim], unscaled
  Rows out;            // [rows, q_heads * head_dim]
  std::span<const AttendRows> sequences;  // cover all rows, in order
};

// One sequence's rows that weigh its tokens. Each attends over all tokens of the view at positions
// up to its own.
inline constexpr int64_t kWeighRows = 32;  // most rows of a call
struct WeighArgs {
  KvGeometry geometry;
  int q_heads = 0;             // as in AttendArgs
  float scale = 1.0f;          // usually 1 / sqrt(head_dim); 1 for scores without it
  float softcap = 0;           // as in AttendArgs
  ConstRows q;                 // [rows, q_heads * head_dim], rotated; 1 to kWeighRows rows
  int64_t first_position = 0;  // of the first row; rows are at consecutive positions
  // A target's: runs of all heads alike in both planes, then dense rows, at positions 0, 1, 2, ...
  // without a gap.
  KvView kv;
  // Out, [q_heads, columns]: of tokens 0 to columns - 1, which the view has, the sum over the rows
  // of their shares of the softmax; 0 where no row sees the token.
  Rows masses;
};

// What ChooseRows makes of a query head's masses before it compares them.
enum class RowPooling : uint8_t {
  kNone,
  kMean5,  // sums of 5 neighbours over 5; tokens beyond the ends count as zeros
  kMax7,   // the largest of the 7 neighbours that there are
};

// ----------------------------------------------------------------------------------- limits

// The largest shapes a backend will be called with; decides its scratch memory.
struct ScratchLimits {
  int64_t rows = 0;       // of a MatMul, or of an Attend of prompts
  int64_t inputs = 0;     // of any weight
  int64_t step_rows = 0;  // of an Attend of kCodes, or a MatMul of kInt16; at most `rows`
  int64_t sequences = 0;  // of an Attend
  int64_t positions = 0;  // tokens of all views of an Attend, of a WeighRows, or of a ChooseRows
  KvGeometry geometry;
  int q_heads = 0;
};

// ---------------------------------------------------------------------------------- backend

// Holds scratch memory, so one object serves one caller at a time; memory, packed weights and
// segments may be shared by all objects of one kind. Every view and pointer of an operation is
// device memory unless it says host. All operations but Allocate and Reserve are free of
// allocations. Threads come from the pool given at construction.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view isa() const = 0;  // "amx", "avx512", "avx2", "portable", "reference"

  // Bytes that Reserve will take for these limits; exact.
  virtual size_t ScratchBytes(const ScratchLimits& limits) const = 0;
  // Takes the scratch memory. Must come before the first operation.
  virtual void Reserve(const ScratchLimits& limits) = 0;

  // ---- memory
  // Throws Error{kMemory}.
  virtual DeviceMemory Allocate(size_t bytes) const = 0;
  virtual void Upload(const void* host, size_t bytes, void* device) const = 0;
  virtual void Download(const void* device, size_t bytes, void* host) const = 0;
  // True if the host may read and write device memory.
  virtual bool MemoryIsHost() const = 0;
  // Rows as the host can read them, until the next operation: themselves where device memory is the
  // host's, else a copy in `staging` (host, as large).
  virtual ConstRows OnHost(ConstRows rows, float* staging) const = 0;
  // Returns when all operations so far are done.
  virtual void Synchronize() const = 0;

  // ---- weights
  virtual WeightBytes SizeOf(const WeightSpec& spec) const = 0;
  // Packs logical rows, of the host, to [first_output, first_output + rows) of `weight`;
  // first_output is a multiple of kPackRows, and so is the number of rows except at the end.
  // Thread-safe for disjoint rows.
  void PackQuantized(const HqRows& rows, int64_t first_output, const PackedWeight& weight) const;
  // The same for kF32 and kBf16, from float rows [rows, inputs] of the host.
  void PackDense(ConstRows rows, int64_t first_output, const PackedWeight& weight) const;
  // All products share x [rows, inputs]; kF32 and kBf16 weights are not mixed. kInt16: at most
  // ScratchLimits::step_rows rows.
  void MatMul(ConstRows x, std::span<const Product> products,
              Activations activations = Activations::kInt8);

  // ---- cache
  // Bytes of keys (and again of values) of a dense segment; a multiple of 64.
  virtual size_t DenseBytes(KvGeometry geometry, KvType type, int64_t capacity) const = 0;
  virtual SealedBytes SizeOf(KvGeometry geometry, int64_t capacity) const = 0;
  // Writes k, v [tokens, kv_heads * head_dim] to rows [first_row, first_row + tokens). f16
  // saturates, and NaN becomes 65504, in every backend.
  void StoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
               int64_t first_row);
  // Copies rows between dense segments of any type.
  void CopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row, int64_t rows,
              const DenseSegment& to, int64_t to_row);
  // Seals rows [from_row, from_row + kKvGroup) into a slot; from_row is a multiple of kDenseRows.
  void SealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
              const SealedSegment& to, int64_t slot);
  // Decodes both planes of a slot into rows [to_row, to_row + kKvGroup); to_row is a multiple of
  // kDenseRows. f16 saturates.
  void UnsealKv(KvGeometry geometry, const SealedSegment& from, int64_t slot,
                const DenseSegment& to, int64_t to_row);
  // The slots of the `count` groups of every head with the largest masses, in the order of `slots`
  // (the first of equal ones). masses [kv_heads, groups that have one]; groups beyond them, the
  // newest, count as heaviest. slots [groups], chosen [kv_heads][count].
  void ChooseGroups(ConstRows masses, std::span<const int32_t> slots, int64_t count,
                    int32_t* chosen);
  void Attend(const AttendArgs& args);
  void WeighRows(const WeighArgs& args);
  // The `count` tokens of every KV head that weigh most, ascending: masses [q_heads, columns], NaN
  // as -infinity, are pooled, then added over the query heads of a KV head, both in floats and in
  // order; the first of equal ones. chosen [kv_heads][count], count <= columns.
  void ChooseRows(ConstRows masses, int kv_heads, RowPooling pooling, int64_t count,
                  int32_t* chosen);
  // Copies tokens rows [kv_heads][count], ascending positions of a view as WeighArgs has it, to
  // rows [to_row, to_row + count) of every head: sealed ones as UnsealKv decodes them, dense ones
  // as CopyKv does.
  void GatherKv(KvGeometry geometry, const KvView& from, const int32_t* rows, int64_t count,
                const DenseSegment& to, int64_t to_row);
  // For digests and tests, to the host: one row of a dense segment as float, k and v
  // [kv_heads * head_dim].
  void LoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
              float* v) const;
  // For tests, to the host: the logical codes of one head and slot. k, v codes [kKvGroup, head_dim]
  // a plane, key scales [head_dim], value scales [kKvGroup, head_dim / ValueGroup].
  struct GroupCodes {
    uint8_t *k_upper, *k_lower, *v_upper, *v_lower;
    GroupScale *k_scales, *v_scales;
  };
  void LoadGroup(KvGeometry geometry, const SealedSegment& segment, int head, int64_t slot,
                 const GroupCodes& out) const;

  // ---- rows
  // Copies rows of the device's memory, which do not overlap.
  void Copy(ConstRows from, Rows to);
  // Rotates `heads` heads of every row of x [rows, heads * head_dim] in place; row i is at position
  // first_position + i.
  void Rotate(Rows x, int heads, const Rotation& rotation, int64_t first_position);
  // out = x / rms(x) * weight, a row at a time; in place allowed. weight [columns].
  void RmsNorm(ConstRows x, const float* weight, float epsilon, Rows out);
  // out = activation(gate) * up; in place allowed.
  void GatedActivation(ConstRows gate, ConstRows up, Rows out,
                       Activation activation = Activation::kSilu);
  // x *= factor.
  void Scale(Rows x, float factor);
  // sum += factor * x.
  void AddScaled(ConstRows x, float factor, Rows sum);
  // x = cap * tanh(x / cap), so that magnitudes stay below `cap`, which is above 0.
  void SoftCap(Rows x, float cap);

 private:
  virtual void DoPackQuantized(const HqRows& rows, int64_t first_output,
                               const PackedWeight& weight) const noexcept = 0;
  virtual void DoPackDense(ConstRows rows, int64_t first_output,
                           const PackedWeight& weight) const noexcept = 0;
  virtual void DoMatMul(ConstRows x, std::span<const Product> products,
                        Activations activations) noexcept = 0;
  virtual void DoStoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
                         int64_t first_row) noexcept = 0;
  virtual void DoCopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                        int64_t rows, const DenseSegment& to, int64_t to_row) noexcept = 0;
  virtual void DoSealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                        const SealedSegment& to, int64_t slot) noexcept = 0;
  virtual void DoUnsealKv(KvGeometry geometry, const SealedSegment& from, int64_t slot,
                          const DenseSegment& to, int64_t to_row) noexcept = 0;
  virtual void DoChooseGroups(ConstRows masses, std::span<const int32_t> slots, int64_t count,
                              int32_t* chosen) noexcept = 0;
  virtual void DoAttend(const AttendArgs& args) noexcept = 0;
  virtual void DoWeighRows(const WeighArgs& args) noexcept = 0;
  virtual void DoChooseRows(ConstRows masses, int kv_heads, RowPooling pooling, int64_t count,
                            int32_t* chosen) noexcept = 0;
  virtual void DoGatherKv(KvGeometry geometry, const KvView& from, const int32_t* rows,
                          int64_t count, const DenseSegment& to, int64_t to_row) noexcept = 0;
  virtual void DoLoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                        float* v) const noexcept = 0;
  virtual void DoLoadGroup(KvGeometry geometry, const SealedSegment& segment, int head,
                           int64_t slot, const GroupCodes& out) const noexcept = 0;
  virtual void DoCopy(ConstRows from, Rows to) noexcept = 0;
  virtual void DoRotate(Rows x, int heads, const Rotation& rotation,
                        int64_t first_position) noexcept = 0;
  virtual void DoRmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) noexcept = 0;
  virtual void DoGatedActivation(ConstRows gate, ConstRows up, Rows out,
                                 Activation activation) noexcept = 0;
  virtual void DoScale(Rows x, float factor) noexcept = 0;
  virtual void DoAddScaled(ConstRows x, float factor, Rows sum) noexcept = 0;
  virtual void DoSoftCap(Rows x, float cap) noexcept = 0;
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
