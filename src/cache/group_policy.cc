#include "cache/group_policy.h"

#include <algorithm>
#include <span>

namespace quantspec {
namespace {

// Groups that drafts read as the target does: a prompt may leave no dense token behind them.
constexpr int64_t kExactGroups = 2;
// Masses cost a step of one row 1 to 2 %, so plain decoding asks for them only now and then.
constexpr int kMostSteps = 8;

int64_t Cells(const DraftPolicySpec& spec) {
  return RoundUp(int64_t{spec.geometry.kv_heads} * std::max(spec.Groups(), 1), 16);
}

}  // namespace

uint64_t GroupPolicy::Bytes(const DraftPolicySpec& spec) {
  return static_cast<uint64_t>(spec.layers * Cells(spec)) * 2 * sizeof(float);
}

GroupPolicy::GroupPolicy(const DraftPolicySpec& spec, const Backend& backend)
    : spec_(spec),
      planes_(spec.draft.cache == DraftPart::kTarget ? Planes::kBoth : Planes::kUpper),
      memory_(backend.Allocate(Bytes(spec))) {}

std::byte* GroupPolicy::LayerMemory(int layer) const {
  return memory_.data() + static_cast<size_t>(layer * Cells(spec_)) * 2 * sizeof(float);
}

int32_t* GroupPolicy::Chosen(int layer) const {
  return reinterpret_cast<int32_t*>(LayerMemory(layer)) + Cells(spec_);
}

void GroupPolicy::BeginStep(Backend& backend, const PolicyStep& step) {
  asks_masses_ = false;
  if (step.part == StepPart::kPrompt) return;
  const KvView target = step.view(0);
  const int64_t groups = target.Groups();
  const int64_t older = std::max<int64_t>(groups - kExactGroups, 0);
  if (DraftGroups(spec_.draft, older) == older) return;  // nothing to choose
  if (step.reader == Reader::kDraft) {
    is_used_ = true;
    Choose(backend, target, older);
    return;
  }
  asks_masses_ = step.part == StepPart::kEndOfPrompt || weighed_ == 0 || is_used_ ||
                 ++steps_since_ >= kMostSteps;
  asked_groups_ = groups;
}

KvView GroupPolicy::View(int layer, const KvView& target) const {
  const int64_t groups = target.Groups();
  if (groups == 0) return target;
  const int64_t exact = std::min(groups, kExactGroups);
  const int64_t older = groups - exact;
  const int64_t count = DraftGroups(spec_.draft, older);
  const GroupRun all = target.runs[0];
  KvView view = target;
  view.run_count = 0;
  if (count == older || weighed_ == 0) {
    view.runs[view.run_count++] = {all.slots, older, /*by_head=*/false, planes_};
  } else {
    view.runs[view.run_count++] = {Chosen(layer), count, /*by_head=*/true, planes_};
  }
  if (view.runs[0].count == 0) view.run_count = 0;
  view.runs[view.run_count++] = {all.slots + older, exact, /*by_head=*/false, Planes::kBoth};
  return view;
}

void GroupPolicy::EndStep() {
  if (!asks_masses_) return;
  asks_masses_ = is_used_ = false;
  steps_since_ = 0;
  weighed_ = asked_groups_;
  chosen_of_ = -1;
}

void GroupPolicy::Forget() {
  asks_masses_ = is_used_ = false;
  steps_since_ = 0;
  weighed_ = 0;
  chosen_of_ = -1;
}

void GroupPolicy::Choose(Backend& backend, const KvView& target, int64_t older) {
  if (weighed_ == 0 || chosen_of_ == older) return;
  const std::span<const int32_t> slots(target.runs[0].slots, static_cast<size_t>(older));
  const int64_t count = DraftGroups(spec_.draft, older);
  for (int layer = 0; layer < spec_.layers; ++layer) {
    const ConstRows masses(MassesOf(layer), spec_.geometry.kv_heads, std::min(weighed_, older),
                           weighed_);
    backend.ChooseGroups(masses, slots, count, Chosen(layer));
  }
  chosen_of_ = older;
}

}  // namespace quantspec
