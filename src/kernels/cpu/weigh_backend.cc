// WeighRows on the CPU, in two phases over splits of the context (attention_job.h): what every row
// gives the tokens of a tile relative to that tile alone, and the softmax's state of the split;
// then, with the states of all splits folded in order, shares. Of as many tiles as there is memory
// for, the second phase reads what the first computed; it computes the others again, to the same
// bits.
#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/attention_job.h"
#include "kernels/cpu/attention_memory.h"
#include "kernels/cpu/cpu_backend.h"

namespace quantspec::cpu {
namespace {

constexpr float kLog2E = 1.44269504089f;
constexpr int64_t kInlineMultiplications = 64 * 1024;
constexpr int64_t kSplitTiles = kSplitRows / kDenseTile;

class WeighCall {
 public:
  WeighCall(const WeighArgs& args, const KernelTable& table, const Scratch& scratch)
      : args_(args),
        table_(table),
        scratch_(scratch),
        splits_(args.kv, /*has_window=*/false),
        head_dim_(args.geometry.head_dim),
        heads_(args.geometry.kv_heads),
        gqa_(args.q_heads / args.geometry.kv_heads),
        rows_(args.q.rows * gqa_) {
    const int64_t states = heads_ * (splits_.total + 1) * StateFloats(rows_, 0);
    kept_ = scratch.states + states;
    most_kept_ = (scratch.shares.calls - states) / WeighRecord::Floats(rows_);
    QS_CHECK(most_kept_ >= 0);
  }

  void Run(ThreadPool& pool) {
    const int64_t units = heads_ * splits_.total;
    const bool is_small =
        args_.kv.Tokens() * args_.q.rows * args_.q.columns <= kInlineMultiplications;
    RunUnits(pool, units, 1, is_small,
             [&](int thread, int64_t unit) { WeighSplit(scratch_.OfWeighing(thread), unit); });
    for (int64_t head = 0; head < heads_; ++head) {
      const SoftmaxState total = TotalOf(head);
      table_.attention.clear(total, 0);
      for (int64_t split = 0; split < splits_.total; ++split) {
        table_.attention.merge(total, StateOf(head * splits_.total + split), 0);
      }
    }
    RunUnits(pool, units, 1, is_small,
             [&](int thread, int64_t unit) { ShareSplit(scratch_.OfWeighing(thread), unit); });
  }

 private:
  // A split: tokens at positions [first, last), groups or rows of a segment.
  struct Part {
    int64_t first;
    int64_t last;
    const GroupRun* run;          // null where it is a segment
    const DenseSegment* segment;  // likewise
    int64_t at;                   // of `first` in the run or the segment, in tokens
  };
  Part PartOf(int64_t split) const {
    const KvView& kv = args_.kv;
    int64_t first = 0;  // of the run or the segment
    for (int i = 0; i < kv.run_count; split -= splits_.runs[i++]) {
      const int64_t tokens = kv.runs[i].count * kKvGroup;
      const int64_t at = split * kSplitRows;
      if (split < splits_.runs[i]) {
        return {first + at, first + std::min(at + kSplitRows, tokens), &kv.runs[i], nullptr, at};
      }
      first += tokens;
    }
    int i = 0;
    for (; split >= splits_.dense[i]; split -= splits_.dense[i++]) first += kv.dense[i].rows;
    const int64_t at = split * kSplitRows;
    return {first + at, first + std::min(at + kSplitRows, kv.dense[i].rows), nullptr, &kv.dense[i],
            at};
  }

  SoftmaxState StateOf(int64_t unit) const {
    return StateAt(scratch_.states + unit * StateFloats(rows_, 0), rows_);
  }
  SoftmaxState TotalOf(int64_t head) const { return StateOf(heads_ * splits_.total + head); }
  // Of a tile of a unit.
  bool IsKept(int64_t unit, int64_t tile) const { return unit * kSplitTiles + tile < most_kept_; }
  WeighRecord RecordOf(const WeighMemory& memory, int64_t unit, int64_t tile) const {
    const int64_t at = unit * kSplitTiles + tile;
    return {IsKept(unit, tile) ? kept_ + at * WeighRecord::Floats(rows_) : memory.record, rows_};
  }
  // Tokens from `position` on that the first rows see; below 1 it may be that later ones see some.
  int64_t SeenFrom(int64_t position) const { return args_.first_position + 1 - position; }
  bool IsSeen(int64_t position) const { return SeenFrom(position) + args_.q.rows - 1 > 0; }

  // Computes tiles of one unit, in order.
  class Tiles {
   public:
    Tiles(const WeighCall& call, const WeighMemory& memory, int head, const Part& part)
        : call_(call), memory_(memory), head_(head), part_(part) {}

    void Weigh(int64_t tile, const WeighRecord& record) {
      if (!is_packed_) Pack();
      const int64_t from = part_.at + tile * kDenseTile;  // in the run or the segment
      const int64_t position = part_.first + tile * kDenseTile;
      WeighWork work;
      work.q = memory_.tiles;
      work.head_dim = call_.head_dim_;
      work.gqa = static_cast<int>(call_.gqa_);
      work.type = part_.run != nullptr ? KvType::kF32 : part_.segment->type;
      work.keys = part_.run != nullptr ? SealedKeys(from) : DenseKeys(from);
      work.tokens = static_cast<int>(std::min<int64_t>(kDenseTile, part_.last - position));
      work.seen = call_.SeenFrom(position);
      work.softcap = call_.args_.softcap * kLog2E;
      work.converted = memory_.converted;
      work.weights = record.weights;
      work.state = record.state;
      call_.table_.weigh.weigh(work);
    }

   private:
    void Pack() {
      is_packed_ = true;
      const WeighArgs& args = call_.args_;
      const float* q = args.q.data + head_ * call_.gqa_ * call_.head_dim_;
      call_.table_.attention.pack_tiles(q, args.q.stride, static_cast<int>(call_.gqa_), call_.rows_,
                                        call_.head_dim_, args.scale * kLog2E, memory_.tiles);
    }
    const std::byte* SealedKeys(int64_t token) {
      const int64_t group = token / kKvGroup;
      auto* keys = reinterpret_cast<std::byte*>(memory_.keys);
      if (group != unsealed_) {
        const SealedGroup from =
            GroupOf(call_.args_.kv.sealed, call_.head_dim_, head_, part_.run->slots[group]);
        call_.table_.kv.unseal({from, Planes::kBoth, KvType::kF32, call_.head_dim_, keys, nullptr});
        unsealed_ = group;
      }
      return keys + token % kKvGroup * call_.head_dim_ * ElementBytes(KvType::kF32);
    }
    const std::byte* DenseKeys(int64_t row) const {
      const DenseSegment& segment = *part_.segment;
      return segment.keys + DenseRowsAt(segment, call_.head_dim_, head_) +
             row * call_.head_dim_ * ElementBytes(segment.type);
    }

    const WeighCall& call_;
    const WeighMemory& memory_;
    int head_;
    const Part& part_;
    bool is_packed_ = false;
    int64_t unsealed_ = -1;  // the group in memory
  };

  void WeighSplit(const WeighMemory& memory, int64_t unit) const {
    const Part part = PartOf(unit % splits_.total);
    Tiles tiles(*this, memory, static_cast<int>(unit / splits_.total), part);
    const SoftmaxState state = StateOf(unit);
    table_.attention.clear(state, 0);
    for (int64_t tile = 0; part.first + tile * kDenseTile < part.last; ++tile) {
      if (!IsSeen(part.first + tile * kDenseTile)) break;
      const WeighRecord record = RecordOf(memory, unit, tile);
      tiles.Weigh(tile, record);
      table_.attention.merge(state, record.state, 0);
    }
  }

  void ShareSplit(const WeighMemory& memory, int64_t unit) const {
    const Part part = PartOf(unit % splits_.total);
    const int head = static_cast<int>(unit / splits_.total);
    Tiles tiles(*this, memory, head, part);
    const int64_t last = std::min(part.last, args_.masses.columns);
    for (int64_t tile = 0; part.first + tile * kDenseTile < last; ++tile) {
      const int64_t position = part.first + tile * kDenseTile;
      const int64_t tokens = std::min<int64_t>(kDenseTile, last - position);
      const Rows masses = args_.masses.Rows(head * gqa_, gqa_);
      if (!IsSeen(position)) {
        for (int64_t h = 0; h < gqa_; ++h) std::fill_n(masses.Row(h) + position, tokens, 0.0f);
        continue;
      }
      const WeighRecord record = RecordOf(memory, unit, tile);
      if (!IsKept(unit, tile)) tiles.Weigh(tile, record);
      table_.weigh.share({record.weights, record.state, TotalOf(head), static_cast<int>(gqa_),
                          static_cast<int>(tokens), masses.data + position, masses.stride});
    }
  }

  const WeighArgs& args_;
  const KernelTable& table_;
  const Scratch& scratch_;
  const Splits splits_;
  const int head_dim_;
  const int64_t heads_;
  const int64_t gqa_;
  const int64_t rows_;  // of a KV head
  float* kept_;         // records of the first tiles, ...
  int64_t most_kept_;   // ... so many
};

}  // namespace

void CpuBackend::DoWeighRows(const WeighArgs& args) noexcept {
  QS_CHECK(args.kv.Tokens() <= limits_.positions);
  QS_CHECK(args.geometry.head_dim == limits_.geometry.head_dim);
  QS_CHECK(args.geometry.kv_heads == limits_.geometry.kv_heads);
  QS_CHECK(args.q_heads == limits_.q_heads);
  const Scratch scratch(attention_scratch_, limits_);
  WeighCall(args, table_, scratch).Run(pool_);
}

}  // namespace quantspec::cpu
