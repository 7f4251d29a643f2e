// Attention's scheduling: which unit of work runs where, and the order of merging.
//
// The context of a view is cut at fixed places: every kSplitGroups sealed groups, every kSplitRows
// rows of a dense segment. A row's result is the fold of its splits' partial states from the first
// to the last, whoever computed them:
// - few tokens (a step): a unit is one split of one KV head, so that one token's work feeds all
//   threads; the thread that finishes a head's last split folds them;
// - many tokens (prefill): a unit is a block of rows of one KV head, which walks all splits and
//   folds as it goes, with no partial state kept.
// A split that a row does not see leaves its total unchanged bit for bit.
//
// The tokens' own keys and values are written by who reads them: in a step by the unit of the split
// that holds their rows (the threads would otherwise wait for one of them, and for its cache to
// hand over what it wrote); for many tokens, whose units share rows, by all threads before.
#include <algorithm>
#include <atomic>
#include <span>

#include "base/check.h"
#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/attention_memory.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/isa.h"

namespace quantspec::cpu {
namespace {

constexpr int64_t kSplitGroups = 8;
constexpr int64_t kInlineMultiplications = 64 * 1024;
constexpr float kLog2E = 1.44269504089f;

// The splits of a view, sealed ones first.
struct Splits {
  int64_t sealed = 0;
  int64_t dense[kMaxDenseSegments] = {};
  int64_t total = 0;

  explicit Splits(const KvView& kv) : sealed(CeilDiv(kv.ReadGroups(), kSplitGroups)) {
    total = sealed;
    for (int i = 0; i < kv.dense_count; ++i) {
      dense[i] = CeilDiv(kv.dense[i].rows, kSplitRows);
      total += dense[i];
    }
  }
};

// Which form of the queries a unit reads.
enum class Need : uint8_t { kRows, kTiles, kBoth };

// A split of the dense rows: [first, last) of a segment.
struct DensePart {
  const DenseSegment& segment;
  int64_t first;
  int64_t last;
};

// A call of Attend, with what every unit needs.
class AttendJob {
 public:
  AttendJob(const AttendArgs& args, const KernelTable& table)
      : args_(args),
        table_(table),
        kernels_(table.attention),
        splits_(args.kv),
        head_dim_(args.kv.geometry.head_dim),
        gqa_(args.q_heads / args.kv.geometry.kv_heads),
        in_pairs_(args.products == AttendProducts::kHalf && kernels_.pairs != nullptr &&
                  std::all_of(args.kv.dense, args.kv.dense + args.kv.dense_count,
                              [](const DenseSegment& s) { return s.type == KvType::kF16; })) {}

  int heads() const { return args_.kv.geometry.kv_heads; }
  int64_t gqa() const { return gqa_; }
  int64_t tokens() const { return args_.q.rows; }
  int64_t splits() const { return splits_.total; }
  Need NeedOf(int64_t split) const { return split < splits_.sealed ? Need::kRows : Need::kTiles; }
  // Too little work, roughly, to be worth handing out.
  bool IsSmall() const {
    return splits_.total * kSplitRows / 2 * args_.q.rows * args_.q.columns <=
           kInlineMultiplications;
  }

  // Turns all queries, where several units of a head would each do so.
  void TurnQueries(float* out) { turned_ = Turned(args_.q, 0, args_.q_heads, 0, tokens(), out); }
  void Pack(int head, int64_t first_token, int64_t rows, Need need,
            const ThreadMemory& memory) const {
    const ConstRows q =
        turned_.rows > 0
            ? ConstRows(turned_.Row(first_token) + head * gqa_ * head_dim_, rows / gqa_,
                        gqa_ * head_dim_, turned_.stride)
            : Turned(args_.q, head * gqa_, gqa_, first_token, rows / gqa_, memory.turned);
    const float factor = args_.scale * kLog2E;
    const int gqa = static_cast<int>(gqa_);
    if (need != Need::kTiles) {
      kernels_.pack_rows(q.data, q.stride, gqa, rows, head_dim_, factor, memory.rows);
    }
    if (need != Need::kRows) {
      (in_pairs_ ? kernels_.pack_pairs : kernels_.pack_tiles)(q.data, q.stride, gqa, rows,
                                                              head_dim_, factor, memory.tiles);
    }
  }

  // Writes those of the tokens' own keys and values of `head` that belong to a part.
  void StoreOwn(int head, const DensePart& part, const ThreadMemory& memory) const {
    if (args_.k.rows == 0) return;
    const RowRange own = OwnRows(args_, part.segment);
    const int64_t last = std::min(part.last, own.last);
    StoreArgs store;
    store.head_dim = head_dim_;
    store.type = part.segment.type;
    store.keys = part.segment.keys + HeadBytes(part.segment, head);
    store.values = part.segment.values + HeadBytes(part.segment, head);
    for (int64_t row = std::max(part.first, own.first); row < last; row += store.rows) {
      const int64_t token = part.segment.first_position + row - args_.first_position;
      store.first_row = row;
      store.rows = static_cast<int>(std::min(last, RoundUp(row + 1, kDenseRows)) - row);
      const ConstRows k = Turned(args_.k, head, 1, token, store.rows, memory.turned);
      store.k = k.data;
      store.k_stride = k.stride;
      store.v = args_.v.Row(token) + head * head_dim_;
      store.v_stride = args_.v.stride;
      table_.kv.store(store);
    }
  }
  // The same of all rows of a split.
  void StoreOwn(int head, int64_t split, const ThreadMemory& memory) const {
    if (split >= splits_.sealed) StoreOwn(head, PartOf(split), memory);
  }
  bool HasOwn() const { return args_.k.rows > 0; }
  std::span<const DenseSegment> segments() const {
    return {args_.kv.dense, static_cast<size_t>(args_.kv.dense_count)};
  }
  RowRange OwnRowsOf(const DenseSegment& segment) const { return OwnRows(args_, segment); }

  // One split's share of the rows that start at `first_token` of `head`, into `state`; and what
  // groups weigh, if wanted, into `weights` of the head [groups][state.padded].
  void Run(int head, int64_t first_token, int64_t split, const ThreadMemory& memory,
           const SoftmaxState& state, float* weights = nullptr) const {
    kernels_.clear(state, head_dim_);
    if (split < splits_.sealed) {
      RunSealed(head, split, memory, state, weights);
      return;
    }
    RunDense(head, first_token, PartOf(split), memory, state);
  }

  void Merge(const SoftmaxState& total, const SoftmaxState& part) const {
    kernels_.merge(total, part, head_dim_);
  }
  void Clear(const SoftmaxState& state) const { kernels_.clear(state, head_dim_); }
  bool WeighsGroups() const { return args_.kv.group_weights != nullptr; }
  int64_t groups() const { return args_.kv.sealed.groups; }
  void WeighGroups(int head, const float* weights, const SoftmaxState& total) const {
    kernels_.weigh_groups(weights, groups(), total, args_.kv.group_weights + head * groups());
  }
  void Finish(int head, int64_t first_token, const SoftmaxState& total) const {
    kernels_.finish(total, static_cast<int>(gqa_), head_dim_,
                    args_.out.Row(first_token) + head * gqa_ * head_dim_, args_.out.stride);
  }

 private:
  // Heads [first_head, first_head + heads) of tokens of x, as they are or turned, in `out`.
  ConstRows Turned(const ConstRows& x, int64_t first_head, int64_t heads, int64_t first_token,
                   int64_t tokens, float* out) const {
    const Rotation& rotation = args_.rotation;
    const int64_t columns = heads * head_dim_;
    const float* source = x.Row(first_token) + first_head * head_dim_;
    if (rotation.rotated == 0) return {source, tokens, columns, x.stride};
    const float* angles = rotation.table + (args_.first_position + first_token) * rotation.rotated;
    const ConstRows turned(out, tokens, columns);
    for (int64_t token = 0; token < tokens; ++token) {
      std::copy_n(source, columns, out);
      table_.rows.rope(out, angles, static_cast<int>(heads), head_dim_, rotation.rotated,
                       rotation.layout);
      source += x.stride;
      angles += rotation.rotated;
      out += columns;
    }
    return turned;
  }

  int64_t HeadBytes(const DenseSegment& segment, int head) const {
    return head * DenseHeadStride(head_dim_, segment.capacity) * ElementBytes(segment.type);
  }

  DensePart PartOf(int64_t split) const {
    split -= splits_.sealed;
    int index = 0;
    for (; split >= splits_.dense[index]; ++index) split -= splits_.dense[index];
    const DenseSegment& segment = args_.kv.dense[index];
    const int64_t first = split * kSplitRows;
    return {segment, first, std::min(first + kSplitRows, segment.rows)};
  }

  void RunSealed(int head, int64_t split, const ThreadMemory& memory, const SoftmaxState& state,
                 float* weights) const {
    const KvView& kv = args_.kv;
    SealedWork work;
    work.q = memory.rows;
    work.head_dim = head_dim_;
    work.planes = kv.planes;
    work.first = GroupOf(kv.sealed, head_dim_, head, 0);
    work.groups = kv.ReadGroups();
    work.chosen = kv.chosen == nullptr ? nullptr : kv.chosen + head * work.groups;
    work.begin = split * kSplitGroups;
    work.end = std::min(work.begin + kSplitGroups, work.groups);
    work.fetch = ThisCpuFetches().planes;
    work.lanes = memory.lanes;
    work.weights = weights == nullptr ? nullptr : weights + work.begin * state.padded;
    work.state = state;
    kernels_.sealed(work);
  }

  void RunDense(int head, int64_t first_token, const DensePart& part, const ThreadMemory& memory,
                const SoftmaxState& state) const {
    const DenseSegment& segment = part.segment;
    const int64_t first_seen = args_.first_position + first_token - segment.first_position + 1;
    for (int64_t row = 0; row < state.rows; ++row) {
      memory.visible[row] =
          static_cast<int32_t>(std::clamp(first_seen + row / gqa_, int64_t{0}, segment.rows));
    }
    DenseWork work;
    work.q = memory.tiles;
    work.head_dim = head_dim_;
    work.type = segment.type;
    work.keys = segment.keys + HeadBytes(segment, head);
    work.values = segment.values + HeadBytes(segment, head);
    work.first = part.first;
    work.last = part.last;
    work.visible = memory.visible;
    work.converted = memory.converted;
    work.state = state;
    (in_pairs_ ? kernels_.pairs : kernels_.dense)(work);
  }

  const AttendArgs& args_;
  const KernelTable& table_;
  const AttentionKernels& kernels_;
  Splits splits_;
  int head_dim_;
  int64_t gqa_;
  ConstRows turned_;  // queries, once TurnQueries was called
  bool in_pairs_;     // dense segments in products of 16 bits
};

// Every thread has a run of units, so that it mostly folds states that it computed itself: little
// goes from core to core (one token at 16k: 7 to 15 % faster than handing units out one by one).
void AttendStep(AttendJob& job, const Scratch& scratch, ThreadPool& pool) {
  const int64_t rows = job.tokens() * job.gqa();
  const int64_t splits = job.splits();
  const int64_t state_floats = StateFloats(rows, scratch.head_dim);
  const int64_t weights_floats = job.groups() * RoundUp(rows, kStatePadding);
  std::fill_n(scratch.counters, job.heads() * kCounterStride, 0);
  const auto state_of = [&](int head, int64_t split) {
    return StateAt(scratch.states + (head * splits + split) * state_floats, rows);
  };
  if (splits > 1) job.TurnQueries(scratch.queries);
  const int64_t units = splits * job.heads();
  const auto run_unit = [&](int thread, int64_t unit) {
    const int head = static_cast<int>(unit / splits);
    const ThreadMemory memory = scratch.Of(thread);
    job.StoreOwn(head, unit % splits, memory);
    job.Pack(head, /*first_token=*/0, rows, job.NeedOf(unit % splits), memory);
    float* weights = job.WeighsGroups() ? scratch.weights + head * weights_floats : nullptr;
    job.Run(head, /*first_token=*/0, unit % splits, memory, state_of(head, unit % splits), weights);
    std::atomic_ref<int32_t> done(scratch.counters[head * kCounterStride]);
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < splits) return;
    const SoftmaxState total = StateAt(memory.total, rows);
    job.Clear(total);
    for (int64_t split = 0; split < splits; ++split) job.Merge(total, state_of(head, split));
    job.Finish(head, /*first_token=*/0, total);
    if (weights != nullptr) job.WeighGroups(head, weights, total);
  };
  RunUnits(pool, units, 0, job.IsSmall(), run_unit);
}

void StoreOwnRows(const AttendJob& job, const Scratch& scratch, ThreadPool& pool) {
  for (const DenseSegment& segment : job.segments()) {
    const RowRange own = job.OwnRowsOf(segment);
    const int64_t first = own.first / kDenseRows;
    const int64_t blocks = CeilDiv(own.last, kDenseRows) - first;
    const auto store = [&](int thread, int64_t unit) {
      const int64_t row = (first + unit % blocks) * kDenseRows;
      job.StoreOwn(static_cast<int>(unit / blocks), {segment, row, row + kDenseRows},
                   scratch.Of(thread));
    };
    RunUnits(pool, blocks * job.heads(), 0, job.IsSmall(), store);
  }
}

void AttendPrefill(const AttendJob& job, const Scratch& scratch, ThreadPool& pool) {
  if (job.HasOwn()) StoreOwnRows(job, scratch, pool);
  // Blocks small enough for every thread to get some; whole tokens.
  const int64_t most = std::max(kBlockRows / job.gqa(), int64_t{1});
  const int64_t fair = CeilDiv(job.tokens() * job.heads(), int64_t{4} * pool.threads());
  const int64_t block = std::clamp(fair, std::min(CeilDiv(int64_t{24}, job.gqa()), most), most);
  const int64_t blocks = CeilDiv(job.tokens(), block);
  const int64_t units = blocks * job.heads();
  const auto run_unit = [&](int thread, int64_t unit) {
    // The last tokens see most: longest units of a head first.
    const int64_t first = (blocks - 1 - unit % blocks) * block;
    const int head = static_cast<int>(unit / blocks);
    const int64_t rows = std::min(block, job.tokens() - first) * job.gqa();
    const ThreadMemory memory = scratch.Of(thread);
    const SoftmaxState total = StateAt(memory.total, rows);
    const SoftmaxState part = StateAt(memory.part, rows);
    job.Pack(head, first, rows, Need::kBoth, memory);
    job.Clear(total);
    for (int64_t split = 0; split < job.splits(); ++split) {
      job.Run(head, first, split, memory, part);
      job.Merge(total, part);
    }
    job.Finish(head, first, total);
  };
  // One by one: units differ much.
  RunUnits(pool, units, 1, job.IsSmall(), run_unit);
}

}  // namespace

size_t CpuBackend::AttentionScratchBytes(const ScratchLimits& limits) const {
  if (limits.geometry.kv_heads == 0 || limits.rows == 0) return 0;
  return ScratchShares(limits).Bytes(pool_.threads());
}

void CpuBackend::DoAttend(const AttendArgs& args) noexcept {
  int64_t positions = args.kv.sealed.groups * kKvGroup;
  for (int i = 0; i < args.kv.dense_count; ++i) positions += args.kv.dense[i].rows;
  QS_CHECK(args.q.rows <= limits_.rows && positions <= limits_.positions);
  QS_CHECK(args.kv.geometry.head_dim == limits_.geometry.head_dim);
  QS_CHECK(args.kv.geometry.kv_heads == limits_.geometry.kv_heads);
  QS_CHECK(args.q_heads == limits_.q_heads);
  AttendJob job(args, table_);
  const Scratch scratch(attention_scratch_, limits_);
  if (args.q.rows <= kStepTokens) {
    AttendStep(job, scratch, pool_);
  } else {
    AttendPrefill(job, scratch, pool_);
  }
}

}  // namespace quantspec::cpu
