#include "cache/observing_policy.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace quantspec {
namespace {

constexpr int kMostQueries = static_cast<int>(kWeighRows);
// A round verifies at most so many.
constexpr int kMostVerified = static_cast<int>(kStepRows);
constexpr int64_t kWindow = kWeighRows;  // SnapKV keeps the tokens that observe
constexpr int64_t kLeastChosen = 16;

int64_t Capacity(const DraftPolicySpec& spec) {
  return RoundUp(DraftRows(spec.draft, spec.context) + kWindow + kDenseRows, kDenseRows);
}
int64_t QueryWidth(const DraftPolicySpec& spec) {
  return int64_t{spec.q_heads} * spec.geometry.head_dim;
}
int64_t ExtraFloats(const DraftPolicySpec& spec) {
  return (spec.layers + int64_t{1}) * kWeighRows * QueryWidth(spec) +
         int64_t{spec.q_heads} * spec.context;
}

float ScoreScale(const DraftPolicySpec& spec) {
  if (spec.score_scale > 0) return spec.score_scale;
  return 1.0f / std::sqrt(static_cast<float>(spec.geometry.head_dim));
}

int64_t RoundDown(int64_t x, int64_t step) { return x / step * step; }

}  // namespace

uint64_t ObservingPolicy::Bytes(const DraftPolicySpec& spec, const Backend& backend) {
  return GatheredBytes(spec, backend, Capacity(spec)) +
         static_cast<uint64_t>(RoundUp(ExtraFloats(spec) * int64_t{sizeof(float)}, 64));
}

ObservingPolicy::ObservingPolicy(const DraftPolicySpec& spec, const Backend& backend)
    : RowPolicy(spec, backend, Capacity(spec), Bytes(spec, backend)),
      query_width_(QueryWidth(spec)) {
  queries_ = reinterpret_cast<float*>(extra_memory());
  ordered_ = queries_ + spec.layers * kWeighRows * query_width_;
  masses_ = ordered_ + kWeighRows * query_width_;
}

Rows ObservingPolicy::Queries(int layer) const {
  return {queries_ + layer * kWeighRows * query_width_, kWeighRows, query_width_};
}

void ObservingPolicy::BeginStep(Backend& backend, const PolicyStep& step) {
  if (step.reader == Reader::kDraft) {
    if (!is_chosen_ || (!is_snapkv() && is_fresh_)) Choose(backend, step);
    return;
  }
  is_open_ = true;
  step_begin_ = step.first_position;
  step_end_ = step.first_position + step.rows;
  // Rows of this step take the places of older ones.
  end_ = std::min(end_, step_begin_);
  begin_ = std::max(std::min(begin_, end_), step_end_ - kMostQueries);
}

void ObservingPolicy::TakeQueries(Backend& backend, int layer, ConstRows q,
                                  int64_t first_position) {
  const Rows queries = Queries(layer);
  const int64_t end = first_position + q.rows;
  for (int64_t position = std::max(first_position, step_end_ - kWeighRows); position < end;) {
    const int64_t row = position % kWeighRows;
    const int64_t count = std::min(end - position, kWeighRows - row);
    backend.Copy(q.Rows(position - first_position, count), queries.Rows(row, count));
    position += count;
  }
}

void ObservingPolicy::EndStep() {
  if (!is_open_) return;
  is_open_ = false;
  if (begin_ >= end_ || end_ != step_begin_) begin_ = std::max(step_begin_, begin_);
  end_ = step_end_;
  is_fresh_ = true;
}

void ObservingPolicy::Rewind(int length) {
  end_ = std::min(end_, length);
  begin_ = std::min(begin_, end_);
  Forget();
}

void ObservingPolicy::TakeOver(Backend& backend, const DraftPolicy& other) {
  const auto* observer = dynamic_cast<const ObservingPolicy*>(&other);
  if (observer == nullptr) return;
  const int64_t rows = spec().layers * kWeighRows;
  backend.Copy({observer->queries_, rows, query_width_}, {queries_, rows, query_width_});
  begin_ = observer->begin_;
  end_ = observer->end_;
  is_fresh_ = true;
}

ObservingPolicy::Plan ObservingPolicy::PlanOf(int64_t tokens, int64_t sealed) const {
  const int64_t window = is_snapkv() ? kWindow : 0;
  const int64_t before_window = std::max<int64_t>(tokens - window, 0);
  Plan plan;
  int64_t budget = 0;
  if (spec().is_sealed) {
    // The dense tail is read anyway; what it has of the window counts all the same.
    plan.kept.direct = sealed;
    plan.columns = std::min(before_window, sealed);
    budget = DraftRows(spec().draft, sealed) - window;
  } else {
    plan.kept.direct = plan.columns = RoundDown(before_window, kDenseRows);
    budget = DraftRows(spec().draft, tokens) - (tokens - plan.columns);
  }
  plan.count = std::min(std::max(budget, kLeastChosen), plan.columns);
  plan.kept.rows = plan.count + plan.kept.direct - plan.columns;
  return plan;
}

// Before the first choice, which a draft's step makes, what it will keep: for asking how much a
// draft would read.
RowPolicy::Kept ObservingPolicy::KeptOf(const KvView& target) const {
  if (is_chosen_) return kept_;
  if (begin_ >= end_) return {};
  const Plan plan = PlanOf(target.Tokens(), target.Groups() * kKvGroup);
  return plan.count == plan.columns ? Kept{} : plan.kept;
}

void ObservingPolicy::Choose(Backend& backend, const PolicyStep& step) {
  is_fresh_ = false;
  const int end = std::min(end_, step.committed);
  const int begin = std::max(begin_, end - (is_snapkv() ? kMostQueries : kMostVerified));
  if (begin >= end) {  // nothing was observed: everything is read, or what was chosen before
    begin_ = end_ = 0;
    return;
  }
  const Plan plan = PlanOf(step.committed, step.view(0).Groups() * kKvGroup);
  is_chosen_ = true;
  kept_ = plan.count == plan.columns ? Kept{} : plan.kept;
  if (kept_.direct == 0) return;
  WeighArgs weigh;
  weigh.geometry = spec().geometry;
  weigh.q_heads = spec().q_heads;
  const bool is_scaled = !is_snapkv() || spec().draft.snapkv_scaled;
  weigh.softcap = spec().softcap;
  weigh.scale = is_scaled ? ScoreScale(spec()) : 1.0f;
  weigh.q = ConstRows(ordered_, end - begin, query_width_);
  weigh.first_position = begin;
  weigh.masses = Rows(masses_, spec().q_heads, plan.columns);
  const RowPooling pooling = !is_snapkv()                                    ? RowPooling::kNone
                             : spec().draft.snapkv_pool == SnapKvPool::kMax7 ? RowPooling::kMax7
                                                                             : RowPooling::kMean5;
  for (int layer = 0; layer < spec().layers; ++layer) {
    for (int position = begin; position < end;) {
      const int64_t row = position % kWeighRows;
      const int64_t count = std::min<int64_t>(end - position, kWeighRows - row);
      backend.Copy(Queries(layer).Rows(row, count),
                   Rows(ordered_, kWeighRows, query_width_).Rows(position - begin, count));
      position += static_cast<int>(count);
    }
    weigh.kv = step.view(layer);
    backend.WeighRows(weigh);
    backend.ChooseRows(weigh.masses, spec().geometry.kv_heads, pooling, plan.count, positions());
    Gather(backend, layer, weigh.kv, plan.count, 0);
    GatherRange(backend, layer, weigh.kv, plan.columns, plan.kept.direct, plan.count);
  }
}

}  // namespace quantspec
