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
#include <algorithm>
#include <atomic>

#include "base/check.h"
#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/isa.h"

namespace quantspec::cpu {
namespace {

constexpr int64_t kSplitGroups = 8;
constexpr int64_t kSplitRows = 1024;
constexpr int64_t kBlockRows = 192;  // of a prefill block
constexpr int kCounterStride = 16;   // int32 of a cache line: a line for each head
constexpr int64_t kInlineMultiplications = 64 * 1024;
constexpr float kLog2E = 1.44269504089f;

int64_t MostSplits(int64_t positions) {
  return CeilDiv(positions, kSplitRows) + 1 + kMaxDenseSegments;
}

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

// One thread's memory; sizes in floats (and int32, as wide), for units of up to `rows` rows.
struct ThreadMemory {
  float* rows;       // queries [rows][head_dim]
  float* tiles;      // the same in tiles
  float* converted;  // [2][kDenseTile][head_dim]
  float* lanes;      // [rows][3][16]
  float* part;
  float* total;
  int32_t* visible;  // [rows]

  static int64_t Floats(int64_t rows, int head_dim) {
    return rows * head_dim + QueryFloats(rows, head_dim) + 48 * rows + 2 * kDenseTile * head_dim +
           2 * StateFloats(rows, head_dim) + RoundUp(rows, 16);
  }
  ThreadMemory(float* memory, int64_t most_rows, int head_dim) {
    const auto take = [&](int64_t floats) {
      float* taken = memory;
      memory += floats;
      return taken;
    };
    rows = take(most_rows * head_dim);
    tiles = take(QueryFloats(most_rows, head_dim));
    converted = take(2 * kDenseTile * head_dim);
    lanes = take(most_rows * 48);
    part = take(StateFloats(most_rows, head_dim));
    total = take(StateFloats(most_rows, head_dim));
    visible = reinterpret_cast<int32_t*>(take(RoundUp(most_rows, 16)));
  }
};

// Shares of the scratch memory, in floats: per-head counters, partial states, what groups weigh,
// threads.
struct ScratchShares {
  int64_t counters, states, weights, thread;
  int64_t thread_rows;

  explicit ScratchShares(const ScratchLimits& limits) {
    const int head_dim = limits.geometry.head_dim;
    const int64_t gqa = limits.q_heads / limits.geometry.kv_heads;
    const int64_t step_rows = std::min(limits.rows, kStepTokens) * gqa;
    const int64_t block_rows = std::max(std::min(limits.rows * gqa, kBlockRows), gqa);
    thread_rows = std::max(step_rows, block_rows);
    counters = int64_t{limits.geometry.kv_heads} * kCounterStride;
    states =
        MostSplits(limits.positions) * limits.geometry.kv_heads * StateFloats(step_rows, head_dim);
    weights =
        limits.positions / kKvGroup * limits.geometry.kv_heads * RoundUp(step_rows, kStatePadding);
    thread = ThreadMemory::Floats(thread_rows, head_dim);
  }
  size_t Bytes(int threads) const {
    return static_cast<size_t>(counters + states + weights + threads * thread) * sizeof(float);
  }
};

// Which form of the queries a unit reads.
enum class Need : uint8_t { kRows, kTiles, kBoth };

// A call of Attend, with what every unit needs.
class AttendJob {
 public:
  AttendJob(const AttendArgs& args, const AttentionKernels& kernels)
      : args_(args),
        kernels_(kernels),
        splits_(args.kv),
        head_dim_(args.kv.geometry.head_dim),
        gqa_(args.q_heads / args.kv.geometry.kv_heads),
        in_pairs_(args.products == AttendProducts::kHalf && kernels.pairs != nullptr &&
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

  void Pack(int head, int64_t first_token, int64_t rows, Need need,
            const ThreadMemory& memory) const {
    const float* q = args_.q.Row(first_token) + head * gqa_ * head_dim_;
    const float factor = args_.scale * kLog2E;
    const int gqa = static_cast<int>(gqa_);
    if (need != Need::kTiles) {
      kernels_.pack_rows(q, args_.q.stride, gqa, rows, head_dim_, factor, memory.rows);
    }
    if (need != Need::kRows) {
      (in_pairs_ ? kernels_.pack_pairs : kernels_.pack_tiles)(q, args_.q.stride, gqa, rows,
                                                              head_dim_, factor, memory.tiles);
    }
  }

  // One split's share of the rows that start at `first_token` of `head`, into `state`; and what
  // groups weigh, if wanted, into `weights` of the head [groups][state.padded].
  void Run(int head, int64_t first_token, int64_t split, const ThreadMemory& memory,
           const SoftmaxState& state, float* weights = nullptr) const {
    kernels_.clear(state, head_dim_);
    if (split < splits_.sealed) {
      RunSealed(head, split, memory, state, weights);
      return;
    }
    split -= splits_.sealed;
    int index = 0;
    for (; split >= splits_.dense[index]; ++index) split -= splits_.dense[index];
    RunDense(head, first_token, args_.kv.dense[index], split, memory, state);
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

  void RunDense(int head, int64_t first_token, const DenseSegment& segment, int64_t split,
                const ThreadMemory& memory, const SoftmaxState& state) const {
    const int64_t first_seen = args_.first_position + first_token - segment.first_position + 1;
    for (int64_t row = 0; row < state.rows; ++row) {
      memory.visible[row] =
          static_cast<int32_t>(std::clamp(first_seen + row / gqa_, int64_t{0}, segment.rows));
    }
    const int64_t offset =
        head * DenseHeadStride(head_dim_, segment.capacity) * ElementBytes(segment.type);
    DenseWork work;
    work.q = memory.tiles;
    work.head_dim = head_dim_;
    work.type = segment.type;
    work.keys = segment.keys + offset;
    work.values = segment.values + offset;
    work.first = split * kSplitRows;
    work.last = std::min(work.first + kSplitRows, segment.rows);
    work.visible = memory.visible;
    work.converted = memory.converted;
    work.state = state;
    (in_pairs_ ? kernels_.pairs : kernels_.dense)(work);
  }

  const AttendArgs& args_;
  const AttentionKernels& kernels_;
  Splits splits_;
  int head_dim_;
  int64_t gqa_;
  bool in_pairs_;  // dense segments in products of 16 bits
};

// The scratch memory of a call, cut up.
struct Scratch {
  int32_t* counters;  // [kv_heads][16] splits done; a cache line each
  float* states;      // [kv_heads][splits] partial states
  float* weights;     // [kv_heads][groups][rows, padded]
  float* threads;
  ScratchShares shares;
  int head_dim;

  Scratch(std::byte* memory, const ScratchLimits& limits)
      : shares(limits), head_dim(limits.geometry.head_dim) {
    counters = reinterpret_cast<int32_t*>(memory);
    states = reinterpret_cast<float*>(memory) + shares.counters;
    weights = states + shares.states;
    threads = weights + shares.weights;
  }
  ThreadMemory Of(int thread) const {
    return {threads + thread * shares.thread, shares.thread_rows, head_dim};
  }
};

// Every thread has a run of units, so that it mostly folds states that it computed itself: little
// goes from core to core (one token at 16k: 7 to 15 % faster than handing units out one by one).
void AttendStep(const AttendJob& job, const Scratch& scratch, ThreadPool& pool) {
  const int64_t rows = job.tokens() * job.gqa();
  const int64_t splits = job.splits();
  const int64_t state_floats = StateFloats(rows, scratch.head_dim);
  const int64_t weights_floats = job.groups() * RoundUp(rows, kStatePadding);
  std::fill_n(scratch.counters, job.heads() * kCounterStride, 0);
  const auto state_of = [&](int head, int64_t split) {
    return StateAt(scratch.states + (head * splits + split) * state_floats, rows);
  };
  const int64_t units = splits * job.heads();
  const auto run_unit = [&](int thread, int64_t unit) {
    const int head = static_cast<int>(unit / splits);
    const ThreadMemory memory = scratch.Of(thread);
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

void AttendPrefill(const AttendJob& job, const Scratch& scratch, ThreadPool& pool) {
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
  const AttendJob job(args, table_.attention);
  const Scratch scratch(attention_scratch_, limits_);
  if (args.q.rows <= kStepTokens) {
    AttendStep(job, scratch, pool_);
  } else {
    AttendPrefill(job, scratch, pool_);
  }
}

}  // namespace quantspec::cpu
