// Drafts over the rows that the target's latest queries attended to.
#pragma once

#include "cache/row_policy.h"

namespace quantspec {

// SnapKV: once a prompt is read, its last 32 queries choose the rows of it that are kept; all later
// ones are read in place. [snapkv, magicdec]
// Pillar: the queries of the tokens that were verified last choose anew in every round.
// [sparsespec]
class ObservingPolicy : public RowPolicy {
 public:
  static uint64_t Bytes(const DraftPolicySpec& spec, const Backend& backend);
  // Throws Error{kMemory}.
  ObservingPolicy(const DraftPolicySpec& spec, const Backend& backend);

  void BeginStep(Backend& backend, const PolicyStep& step) override;
  void TakeQueries(Backend& backend, int layer, ConstRows q, int64_t first_position) override;
  int QueryRows() const override { return is_snapkv() ? static_cast<int>(kWeighRows) : 1; }
  void EndStep() override;
  void Forget() override { is_chosen_ = false; }
  void Rewind(int length) override;
  void TakeOver(Backend& backend, const DraftPolicy& other) override;

 protected:
  Kept KeptOf(const KvView& target) const override;

 private:
  bool is_snapkv() const { return spec().draft.kind == DraftKind::kSnapKv; }
  // The latest queries of a layer, the one at position p in row p % kWeighRows.
  Rows Queries(int layer) const;
  // What is chosen and kept of `tokens` tokens, `sealed` of which are in groups.
  struct Plan {
    int64_t columns = 0;  // tokens [0, columns) are chosen among
    int64_t count = 0;    // rows chosen
    Kept kept;            // with the rows [columns, kept.direct) behind them
  };
  Plan PlanOf(int64_t tokens, int64_t sealed) const;
  void Choose(Backend& backend, const PolicyStep& step);

  int64_t query_width_;
  float* queries_ = nullptr;  // [layers][kWeighRows][query width]
  float* ordered_ = nullptr;  // [kWeighRows][query width] by position
  float* masses_ = nullptr;   // [q_heads][context]
  // Positions of the queries at hand: [begin_, end_).
  int begin_ = 0;
  int end_ = 0;
  int step_begin_ = 0;  // rows of the open step of the target
  int step_end_ = 0;
  bool is_open_ = false;
  bool is_chosen_ = false;
  bool is_fresh_ = false;  // the target has stepped since rows were chosen
  Kept kept_;
};

}  // namespace quantspec
