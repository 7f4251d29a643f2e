// One sequence's part of a call of Attend: its splits, and what a unit of work does with one.
//
// The context of a view is cut at fixed places: every kSplitGroups groups of a run, every
// kSplitRows rows of a dense segment; with a window, whose views begin anywhere, of its storage. A
// row's result is the fold of its splits' partial states from the first to the last, whoever
// computed them. A split that a row does not see leaves its total unchanged bit for bit.
#pragma once

#include <cstdint>

#include "kernels/cpu/attention_memory.h"
#include "kernels/cpu/kernel_table.h"

namespace quantspec::cpu {

// What an Attend with a window reads of a segment: from the beginning of its storage on, so that
// places in it are the same ones in every view.
DenseSegment FromStorage(DenseSegment segment);

// The splits of a view: those of its runs, then those of its dense segments.
struct Splits {
  int64_t runs[kMaxRuns] = {};
  int64_t dense[kMaxDenseSegments] = {};
  int64_t sealed = 0;  // of all runs
  int64_t total = 0;
  int64_t first_dense[kMaxDenseSegments] = {};  // of a segment's storage, with a window; else 0

  Splits(const KvView& kv, bool has_window);
};

// Tokens [first, first + count) of a sequence; a unit's rows are their query heads of one KV head.
struct TokenBlock {
  int64_t first;
  int64_t count;
};

class AttendJob {
 public:
  // All must outlive the job.
  AttendJob(const AttendArgs& args, const AttendRows& rows, const KernelTable& table);

  int64_t gqa() const { return gqa_; }
  int64_t tokens() const { return rows_.rows; }
  int64_t splits() const { return splits_.total; }
  bool HasGroups() const { return splits_.sealed > 0; }
  // About as many as the call has for this sequence.
  int64_t Multiplications() const {
    return splits_.total * kSplitRows / 2 * tokens() * args_.q.columns;
  }
  // Floats of one head that the masses are collected in; 0 if they are not wanted.
  int64_t MassFloats() const { return mass_groups_ * RoundUp(MassRows(tokens()), kStatePadding); }

  // Packs the queries of a block that a split reads; and those that masses are computed of, if they
  // are other ones.
  void Pack(int head, TokenBlock block, int64_t split, const ThreadMemory& memory) const;
  // One split's share of the rows of a block, into `state`. `masses` [groups][rows, padded] of the
  // head, which may be null: what the split adds to them.
  void Run(int head, TokenBlock block, int64_t split, const ThreadMemory& memory,
           const SoftmaxState& state, float* masses) const;

  void Clear(const SoftmaxState& state) const { kernels_.clear(state, head_dim_); }
  void Merge(const SoftmaxState& total, const SoftmaxState& part) const {
    kernels_.merge(total, part, head_dim_);
  }
  // Writes a block's rows and, if `masses` is not null, the masses of the head.
  void Finish(int head, TokenBlock block, const SoftmaxState& total, const float* masses) const;

 private:
  // A split: entries [first, last) of a run or of a segment.
  struct Part {
    int index;  // of the run or the segment
    int64_t first;
    int64_t last;
  };
  Part PartOf(int64_t split) const;
  bool IsSealed(int64_t split) const { return split < splits_.sealed; }
  // The last ones of `rows` rows, which masses are computed of.
  int64_t MassRows(int64_t block_tokens) const { return is_codes_ ? block_tokens * gqa_ : gqa_; }

  void PackRows(int head, TokenBlock block, const ThreadMemory& memory) const;
  void RunCodes(int head, const Part& part, const ThreadMemory& memory, const SoftmaxState& state,
                float* masses) const;
  void RunUnsealed(int head, const Part& part, const ThreadMemory& memory,
                   const SoftmaxState& state) const;
  void RunDense(int head, int64_t first_token, const Part& part, const ThreadMemory& memory,
                const SoftmaxState& state) const;
  // A dense segment as its splits count its rows.
  DenseSegment SegmentOf(int index) const {
    const DenseSegment& segment = rows_.kv.dense[index];
    return args_.window > 0 ? FromStorage(segment) : segment;
  }
  float Softcap() const;  // of scores in base 2
  const int32_t* SlotsOf(int head, const GroupRun& run) const {
    return run.slots + (run.by_head ? head * run.count : 0);
  }

  const AttendArgs& args_;
  const AttendRows& rows_;
  const KernelTable& table_;
  const AttentionKernels& kernels_;
  Splits splits_;
  int head_dim_;
  int64_t gqa_;
  int64_t mass_groups_;
  bool is_codes_;
  bool in_pairs_;  // products of bf16
};

}  // namespace quantspec::cpu
