#include "kernels/cpu/attention_job.h"

#include <algorithm>

#include "kernels/cpu/isa.h"

namespace quantspec::cpu {
namespace {

constexpr float kLog2E = 1.44269504089f;
// A larger window is as good as none: no segment has so many rows.
constexpr int64_t kMostWindow = int64_t{1} << 30;

bool IsF16(const DenseSegment& segment) { return segment.type == KvType::kF16; }

}  // namespace

DenseSegment FromStorage(DenseSegment segment) {
  segment.first_position -= segment.first_row;
  segment.rows += segment.first_row;
  segment.first_row = 0;
  return segment;
}

Splits::Splits(const KvView& kv, bool has_window) {
  for (int i = 0; i < kv.run_count; ++i) {
    runs[i] = CeilDiv(kv.runs[i].count, kSplitGroups);
    sealed += runs[i];
  }
  total = sealed;
  for (int i = 0; i < kv.dense_count; ++i) {
    const DenseSegment segment = has_window ? FromStorage(kv.dense[i]) : kv.dense[i];
    if (has_window) first_dense[i] = kv.dense[i].first_row / kSplitRows;
    dense[i] = CeilDiv(segment.rows, kSplitRows) - first_dense[i];
    total += dense[i];
  }
}

AttendJob::AttendJob(const AttendArgs& args, const AttendRows& rows, const KernelTable& table)
    : args_(args),
      rows_(rows),
      table_(table),
      kernels_(table.attention),
      splits_(rows.kv, args.window > 0),
      head_dim_(args.geometry.head_dim),
      gqa_(args.q_heads / args.geometry.kv_heads),
      mass_groups_(rows.masses == nullptr || rows.kv.run_count == 0 ? 0 : rows.kv.runs[0].count),
      is_codes_(args.math == AttendMath::kCodes),
      in_pairs_(args.math == AttendMath::kBf16 && kernels_.pairs != nullptr &&
                std::all_of(rows.kv.dense, rows.kv.dense + rows.kv.dense_count, IsF16)) {}

AttendJob::Part AttendJob::PartOf(int64_t split) const {
  const bool is_sealed = IsSealed(split);
  const int64_t* counts = is_sealed ? splits_.runs : splits_.dense;
  if (!is_sealed) split -= splits_.sealed;
  int index = 0;
  for (; split >= counts[index]; ++index) split -= counts[index];
  const int64_t size = is_sealed ? kSplitGroups : kSplitRows;
  const int64_t all = is_sealed ? rows_.kv.runs[index].count : SegmentOf(index).rows;
  if (!is_sealed) split += splits_.first_dense[index];
  return {index, split * size, std::min((split + 1) * size, all)};
}

float AttendJob::Softcap() const { return args_.softcap * kLog2E; }

void AttendJob::PackRows(int head, TokenBlock block, const ThreadMemory& memory) const {
  const float* q = args_.q.Row(rows_.first_row + block.first) + head * gqa_ * head_dim_;
  kernels_.pack_rows(q, args_.q.stride, static_cast<int>(gqa_), block.count * gqa_, head_dim_,
                     args_.scale * kLog2E, memory.rows);
}

void AttendJob::Pack(int head, TokenBlock block, int64_t split, const ThreadMemory& memory) const {
  if (is_codes_ && IsSealed(split)) {
    PackRows(head, block, memory);
    return;
  }
  const float* q = args_.q.Row(rows_.first_row + block.first) + head * gqa_ * head_dim_;
  (in_pairs_ ? kernels_.pack_pairs : kernels_.pack_tiles)(q, args_.q.stride, static_cast<int>(gqa_),
                                                          block.count * gqa_, head_dim_,
                                                          args_.scale * kLog2E, memory.tiles);
  if (mass_groups_ > 0 && !is_codes_) PackRows(head, {block.first + block.count - 1, 1}, memory);
}

void AttendJob::Run(int head, TokenBlock block, int64_t split, const ThreadMemory& memory,
                    const SoftmaxState& state, float* masses) const {
  const Part part = PartOf(split);
  if (!IsSealed(split)) {
    Clear(state);
    RunDense(head, block.first, part, memory, state);
    return;
  }
  if (part.index > 0) masses = nullptr;
  if (is_codes_) {
    Clear(state);
    RunCodes(head, part, memory, state, masses);
    return;
  }
  if (masses != nullptr) {
    // Only the masses are wanted.
    const SoftmaxState last = StateAt(state.max, gqa_);
    Clear(last);
    RunCodes(head, part, memory, last, masses);
  }
  Clear(state);
  RunUnsealed(head, part, memory, state);
}

void AttendJob::RunCodes(int head, const Part& part, const ThreadMemory& memory,
                         const SoftmaxState& state, float* masses) const {
  const GroupRun& run = rows_.kv.runs[part.index];
  SealedWork work;
  work.q = memory.rows;
  work.head_dim = head_dim_;
  work.planes = run.planes;
  work.first = GroupOf(rows_.kv.sealed, head_dim_, head, 0);
  work.slots = SlotsOf(head, run);
  work.groups = run.count;
  work.begin = part.first;
  work.end = part.last;
  work.fetch = ThisCpuFetches().planes;
  work.softcap = Softcap();
  work.lanes = memory.lanes;
  work.masses = masses == nullptr ? nullptr : masses + part.first * state.padded;
  work.state = state;
  kernels_.sealed(work);
}

void AttendJob::RunUnsealed(int head, const Part& part, const ThreadMemory& memory,
                            const SoftmaxState& state) const {
  const GroupRun& run = rows_.kv.runs[part.index];
  const int32_t* slots = SlotsOf(head, run);
  auto* unsealed = reinterpret_cast<std::byte*>(memory.unsealed);
  UnsealArgs unseal;
  unseal.planes = run.planes;
  unseal.type = in_pairs_ ? KvType::kF16 : KvType::kF32;
  unseal.head_dim = head_dim_;
  unseal.keys = unsealed;
  unseal.values = unsealed + ElementBytes(unseal.type) * kKvGroup * head_dim_;
  std::fill_n(memory.visible, state.rows, kKvGroup);
  DenseWork work;
  work.q = memory.tiles;
  work.head_dim = head_dim_;
  work.type = unseal.type;
  work.keys = unseal.keys;
  work.values = unseal.values;
  work.first = 0;
  work.last = kKvGroup;
  work.visible = memory.visible;
  work.softcap = Softcap();
  work.converted = memory.converted;
  work.state = state;
  for (int64_t g = part.first; g < part.last; ++g) {
    unseal.from = GroupOf(rows_.kv.sealed, head_dim_, head, slots[g]);
    table_.kv.unseal(unseal);
    (in_pairs_ ? kernels_.pairs : kernels_.dense)(work);
  }
}

void AttendJob::RunDense(int head, int64_t first_token, const Part& part,
                         const ThreadMemory& memory, const SoftmaxState& state) const {
  const DenseSegment segment = SegmentOf(part.index);
  const int64_t first_seen = rows_.first_position + first_token - segment.first_position + 1;
  // With a window, what a row sees ends where it begins plus the window, wherever the segment ends.
  const int64_t window = std::min(args_.window, kMostWindow);
  const int64_t most = segment.rows + window;
  for (int64_t row = 0; row < state.rows; ++row) {
    memory.visible[row] =
        static_cast<int32_t>(std::clamp(first_seen + row / gqa_, int64_t{0}, most));
  }
  const int64_t head_bytes = DenseRowsAt(segment, head_dim_, head);
  DenseWork work;
  work.q = memory.tiles;
  work.head_dim = head_dim_;
  work.type = segment.type;
  work.keys = segment.keys + head_bytes;
  work.values = segment.values + head_bytes;
  work.first = part.first;
  work.last = part.last;
  work.visible = memory.visible;
  work.begin = window > 0 ? rows_.kv.dense[part.index].first_row : 0;
  work.window = static_cast<int32_t>(window);
  work.softcap = Softcap();
  work.converted = memory.converted;
  work.state = state;
  (in_pairs_ ? kernels_.pairs : kernels_.dense)(work);
}

void AttendJob::Finish(int head, TokenBlock block, const SoftmaxState& total,
                       const float* masses) const {
  float* out = args_.out.Row(rows_.first_row + block.first) + head * gqa_ * head_dim_;
  kernels_.finish(total, static_cast<int>(gqa_), head_dim_, out, args_.out.stride);
  if (masses == nullptr) return;
  const int64_t rows = MassRows(block.count);
  const int64_t others = total.rows - rows;
  const SoftmaxState last{total.max + others, total.sum + others, total.values + others * head_dim_,
                          rows, RoundUp(rows, kStatePadding)};
  kernels_.share_masses(masses, mass_groups_, last, rows_.masses + head * mass_groups_);
}

}  // namespace quantspec::cpu
