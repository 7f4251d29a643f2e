#include "cache/draft_policy.h"

#include <algorithm>
#include <span>

#include "base/check.h"

namespace quantspec {
namespace {

// By measurement (docs/results.md): a quarter of the groups costs hardly any acceptance where there
// are many; of few a quarter is too few, and reading them is cheap.
constexpr int64_t kAutoShare = 4;
constexpr int64_t kAutoLeast = 12;
// Groups that drafts read as the target does: a prompt may leave no dense token behind them.
constexpr int64_t kExactGroups = 2;
// Masses cost a step of one row 1 to 2 %, so plain decoding asks for them only now and then.
constexpr int kMostSteps = 8;

int64_t Cells(const DraftPolicySpec& spec) {
  return RoundUp(int64_t{spec.geometry.kv_heads} * std::max(spec.groups, 1), 16);
}

class UpperPlanePolicy : public DraftPolicy {
 public:
  UpperPlanePolicy(const DraftPolicySpec& spec, const Backend& backend)
      : spec_(spec), memory_(backend.Allocate(DraftPolicyBytes(spec))) {}

  void BeginStep(Backend& backend, Reader reader, const KvView& target,
                 bool last_of_prompt) override {
    const int64_t groups = target.Groups();
    const int64_t older = std::max<int64_t>(groups - kExactGroups, 0);
    asks_masses_ = false;
    if (DraftGroups(spec_.draft_context, older) == older) return;  // nothing to choose
    if (reader == Reader::kDraft) {
      is_used_ = true;
      Choose(backend, target, older);
      return;
    }
    asks_masses_ = last_of_prompt || weighed_ == 0 || is_used_ || ++steps_since_ >= kMostSteps;
    asked_groups_ = groups;
  }

  KvView View(int layer, const KvView& target) const override {
    const int64_t groups = target.Groups();
    if (groups == 0) return target;
    const int64_t exact = std::min(groups, kExactGroups);
    const int64_t older = groups - exact;
    const int64_t count = DraftGroups(spec_.draft_context, older);
    const GroupRun all = target.runs[0];
    KvView view = target;
    view.run_count = 0;
    if (count == older || weighed_ == 0) {
      view.runs[view.run_count++] = {all.slots, older, /*by_head=*/false, Planes::kUpper};
    } else {
      view.runs[view.run_count++] = {Chosen(layer), count, /*by_head=*/true, Planes::kUpper};
    }
    if (view.runs[0].count == 0) view.run_count = 0;
    view.runs[view.run_count++] = {all.slots + older, exact, /*by_head=*/false, Planes::kBoth};
    return view;
  }

  float* Masses(int layer) const override { return asks_masses_ ? MassesOf(layer) : nullptr; }

  void EndStep() override {
    if (!asks_masses_) return;
    asks_masses_ = is_used_ = false;
    steps_since_ = 0;
    weighed_ = asked_groups_;
    chosen_of_ = -1;
  }

  void Forget() override {
    asks_masses_ = is_used_ = false;
    steps_since_ = 0;
    weighed_ = 0;
    chosen_of_ = -1;
  }

  std::unique_ptr<DraftPolicy> Fork(Backend& backend) const override {
    return std::make_unique<UpperPlanePolicy>(spec_, backend);
  }

 private:
  std::byte* LayerMemory(int layer) const {
    return memory_.data() + static_cast<size_t>(layer * Cells(spec_)) * 2 * sizeof(float);
  }
  float* MassesOf(int layer) const { return reinterpret_cast<float*>(LayerMemory(layer)); }
  int32_t* Chosen(int layer) const {
    return reinterpret_cast<int32_t*>(LayerMemory(layer)) + Cells(spec_);
  }

  // Chooses among the first `older` groups of every layer, unless that was done.
  void Choose(Backend& backend, const KvView& target, int64_t older) {
    if (weighed_ == 0 || chosen_of_ == older) return;
    const std::span<const int32_t> slots(target.runs[0].slots, static_cast<size_t>(older));
    const int64_t count = DraftGroups(spec_.draft_context, older);
    for (int layer = 0; layer < spec_.layers; ++layer) {
      const ConstRows masses(MassesOf(layer), spec_.geometry.kv_heads, std::min(weighed_, older),
                             weighed_);
      backend.ChooseGroups(masses, slots, count, Chosen(layer));
    }
    chosen_of_ = older;
  }

  DraftPolicySpec spec_;
  DeviceMemory memory_;       // a layer: masses [kv_heads][groups], chosen [kv_heads][count]
  int64_t weighed_ = 0;       // groups that the masses at hand are of; 0: there are none
  int64_t asked_groups_ = 0;  // groups of the step that asks for masses
  int steps_since_ = 0;       // target steps since masses were asked for
  bool is_used_ = false;      // drafts have chosen by the masses at hand
  bool asks_masses_ = false;
  int64_t chosen_of_ = -1;  // groups that the choice at hand is among; -1: there is none
};

}  // namespace

int64_t DraftGroups(int draft_context, int64_t groups) {
  const int64_t most = draft_context == kDraftContextAuto
                           ? std::max(CeilDiv(groups, kAutoShare), kAutoLeast)
                           : CeilDiv(int64_t{draft_context}, int64_t{kKvGroup});
  return std::min(most, groups);
}

uint64_t DraftPolicyBytes(const DraftPolicySpec& spec) {
  return static_cast<uint64_t>(spec.layers * Cells(spec)) * 2 * sizeof(float);
}

std::unique_ptr<DraftPolicy> MakeDraftPolicy(const DraftPolicySpec& spec, const Backend& backend) {
  return std::make_unique<UpperPlanePolicy>(spec, backend);
}

}  // namespace quantspec
