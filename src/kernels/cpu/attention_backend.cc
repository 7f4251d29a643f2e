// Attention's scheduling: which unit of work runs where (attention_job.h says what it computes).
//
// - Few rows (steps of any number of sequences): a unit is one split of one KV head of a sequence,
//   so that one token's work feeds all threads; the thread that finishes a head's last split folds
//   them.
// - Many rows (prompts): a unit is a block of tokens of one KV head, which walks all splits and
//   folds as it goes, with no partial state kept. Blocks are large enough for the unpacking of
//   sealed groups, once a block, to cost little beside their products.
#include <algorithm>
#include <atomic>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "kernels/cpu/attention_job.h"
#include "kernels/cpu/attention_memory.h"
#include "kernels/cpu/cpu_backend.h"

namespace quantspec::cpu {
namespace {

constexpr int64_t kInlineMultiplications = 64 * 1024;
constexpr int64_t kInlineGroups = 512;  // that ChooseGroups orders on the caller
// Least rows of a block of a prompt that there is work enough for: over dense rows, and where
// sealed groups are unpacked.
constexpr int64_t kLeastRows = 24;
constexpr int64_t kLeastUnsealedRows = 48;

// A call of Attend.
class AttendCall {
 public:
  AttendCall(const AttendArgs& args, const KernelTable& table, const Scratch& scratch)
      : args_(args),
        table_(table),
        scratch_(scratch),
        count_(static_cast<int64_t>(args.sequences.size())),
        heads_(args.geometry.kv_heads) {}

  void RunFew(ThreadPool& pool) {
    std::fill_n(scratch_.counters, count_ * heads_ * kCounterStride, 0);
    Place([&](const AttendJob& job) { return job.splits() * heads_; },
          [&](const AttendJob& job) {
            return job.splits() * heads_ * StateFloats(job.tokens() * job.gqa(), scratch_.head_dim);
          });
    // Every thread has a run of units, so that it mostly folds states that it computed itself:
    // little goes from core to core (one token at 16k: 7 to 15 % faster than handing units out one
    // by one).
    RunUnits(pool, units_, 0, IsSmall(),
             [&](int thread, int64_t unit) { RunSplit(scratch_.Of(thread), unit); });
  }

  void RunMany(ThreadPool& pool) {
    // Blocks small enough for every thread to get some.
    fair_ = CeilDiv(args_.q.rows * heads_, int64_t{4} * pool.threads());
    Place([&](const AttendJob& job) { return CeilDiv(job.tokens(), BlockOf(job)) * heads_; },
          [](const AttendJob&) { return 0; });
    // One by one: units differ much.
    RunUnits(pool, units_, 1, IsSmall(),
             [&](int thread, int64_t unit) { RunBlock(scratch_.Of(thread), unit); });
  }

 private:
  // Gives every sequence its units and its memory.
  template <typename Units, typename States>
  void Place(const Units& units_of, const States& states_of) {
    float* states = scratch_.states;
    float* masses = scratch_.masses;
    for (int64_t i = 0; i < count_; ++i) {
      const AttendJob job = JobOf(i);
      scratch_.places[i] = {units_, states, masses};
      units_ += units_of(job);
      states += states_of(job);
      masses += job.MassFloats() * heads_;
      multiplications_ += job.Multiplications();
    }
    QS_CHECK(states - scratch_.states <= scratch_.shares.states);
    QS_CHECK(masses - scratch_.masses <= scratch_.shares.masses);
  }
  // Too little work, roughly, to be worth handing out.
  bool IsSmall() const { return multiplications_ <= kInlineMultiplications; }

  AttendJob JobOf(int64_t sequence) const {
    return {args_, args_.sequences[static_cast<size_t>(sequence)], table_};
  }
  int64_t SequenceOf(int64_t unit) const {
    int64_t i = 0;
    while (i + 1 < count_ && scratch_.places[i + 1].unit <= unit) ++i;
    return i;
  }
  static float* MassesOf(const AttendJob& job, const SequencePlace& place, int head) {
    const int64_t floats = job.MassFloats();
    return floats == 0 ? nullptr : place.masses + head * floats;
  }

  void RunSplit(const ThreadMemory& memory, int64_t unit) const {
    const int64_t sequence = SequenceOf(unit);
    const SequencePlace& place = scratch_.places[sequence];
    const AttendJob job = JobOf(sequence);
    const int64_t splits = job.splits();
    const int head = static_cast<int>((unit - place.unit) / splits);
    const int64_t rows = job.tokens() * job.gqa();
    const int64_t state_floats = StateFloats(rows, scratch_.head_dim);
    const auto state_of = [&](int64_t split) {
      return StateAt(place.states + (head * splits + split) * state_floats, rows);
    };
    const TokenBlock block{0, job.tokens()};
    const int64_t own = (unit - place.unit) % splits;
    float* masses = MassesOf(job, place, head);
    job.Pack(head, block, own, memory);
    job.Run(head, block, own, memory, state_of(own), masses);
    std::atomic_ref<int32_t> done(scratch_.counters[(sequence * heads_ + head) * kCounterStride]);
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < splits) return;
    const SoftmaxState total = StateAt(memory.total, rows);
    job.Clear(total);
    for (int64_t split = 0; split < splits; ++split) job.Merge(total, state_of(split));
    job.Finish(head, block, total, masses);
  }

  // Whole tokens.
  int64_t BlockOf(const AttendJob& job) const {
    const int64_t most = std::max(kBlockRows / job.gqa(), int64_t{1});
    const int64_t least = CeilDiv(job.HasGroups() ? kLeastUnsealedRows : kLeastRows, job.gqa());
    return std::clamp(fair_, std::min(least, most), most);
  }

  void RunBlock(const ThreadMemory& memory, int64_t unit) const {
    const int64_t sequence = SequenceOf(unit);
    const SequencePlace& place = scratch_.places[sequence];
    const AttendJob job = JobOf(sequence);
    const int64_t size = BlockOf(job);
    const int64_t blocks = CeilDiv(job.tokens(), size);
    const int head = static_cast<int>((unit - place.unit) / blocks);
    // The last tokens see most: longest units of a head first.
    const int64_t index = blocks - 1 - (unit - place.unit) % blocks;
    const TokenBlock block{index * size, std::min(size, job.tokens() - index * size)};
    float* masses = index == blocks - 1 ? MassesOf(job, place, head) : nullptr;
    const SoftmaxState total = StateAt(memory.total, block.count * job.gqa());
    const SoftmaxState part = StateAt(memory.part, block.count * job.gqa());
    job.Pack(head, block, /*split=*/0, memory);
    job.Clear(total);
    for (int64_t split = 0; split < job.splits(); ++split) {
      job.Run(head, block, split, memory, part, masses);
      job.Merge(total, part);
    }
    job.Finish(head, block, total, masses);
  }

  const AttendArgs& args_;
  const KernelTable& table_;
  const Scratch& scratch_;
  const int64_t count_;  // sequences
  const int heads_;
  int64_t units_ = 0;
  int64_t multiplications_ = 0;
  int64_t fair_ = 0;  // tokens of a block
};

}  // namespace

size_t CpuBackend::AttentionScratchBytes(const ScratchLimits& limits) const {
  if (limits.geometry.kv_heads == 0 || limits.rows == 0) return 0;
  return ScratchShares(limits).Bytes(pool_.threads());
}

void CpuBackend::DoAttend(const AttendArgs& args) noexcept {
  int64_t positions = 0;
  bool is_few = args.q.rows <= limits_.step_rows;
  for (const AttendRows& rows : args.sequences) {
    positions += rows.kv.Tokens();
    is_few &= rows.rows <= kStepRows;
  }
  QS_CHECK(is_few || (args.math != AttendMath::kCodes && args.q.rows <= limits_.rows));
  QS_CHECK(positions <= limits_.positions);
  QS_CHECK(static_cast<int64_t>(args.sequences.size()) <= limits_.sequences);
  QS_CHECK(args.geometry.head_dim == limits_.geometry.head_dim);
  QS_CHECK(args.geometry.kv_heads == limits_.geometry.kv_heads);
  QS_CHECK(args.q_heads == limits_.q_heads);
  const Scratch scratch(attention_scratch_, limits_);
  AttendCall call(args, table_, scratch);
  if (is_few) {
    call.RunFew(pool_);
  } else {
    call.RunMany(pool_);
  }
}

// Candidates stand in the memory of the masses of an Attend.
void CpuBackend::DoChooseGroups(ConstRows masses, std::span<const int32_t> slots, int64_t count,
                                int32_t* chosen) noexcept {
  const auto groups = static_cast<int64_t>(slots.size());
  const Scratch scratch(attention_scratch_, limits_);
  QS_CHECK(masses.rows * groups <= scratch.shares.masses);
  auto* all_candidates = reinterpret_cast<int32_t*>(scratch.masses);
  const auto choose = [&](int64_t head) {
    const auto mass = [&](int32_t group) {
      if (group >= masses.columns) return std::numeric_limits<float>::infinity();
      const float x = masses.Row(head)[group];
      return x == x ? x : -std::numeric_limits<float>::infinity();
    };
    int32_t* candidates = all_candidates + head * groups;
    std::iota(candidates, candidates + groups, 0);
    std::nth_element(candidates, candidates + count, candidates + groups,
                     [&](int32_t a, int32_t b) {
                       const float left = mass(a), right = mass(b);
                       return left != right ? left > right : a < b;
                     });
    std::sort(candidates, candidates + count);
    for (int64_t i = 0; i < count; ++i) {
      chosen[head * count + i] = slots[static_cast<size_t>(candidates[i])];
    }
  };
  ForUnits(masses.rows, masses.rows * groups <= kInlineGroups, choose);
}

}  // namespace quantspec::cpu
