// Drafts over the upper plane of sealed groups. [quantspec 4.2, quest, triforce]
#pragma once

#include "cache/draft_policy.h"

namespace quantspec {

// Reads for each KV head the groups with the largest attention mass in the target's latest measured
// step, or all of them, which is the paper's draft; and the newest two groups as the target does.
class GroupPolicy : public DraftPolicy {
 public:
  static uint64_t Bytes(const DraftPolicySpec& spec);
  // Throws Error{kMemory}.
  GroupPolicy(const DraftPolicySpec& spec, const Backend& backend);

  void BeginStep(Backend& backend, const PolicyStep& step) override;
  KvView View(int layer, const KvView& target) const override;
  float* Masses(int layer) const override { return asks_masses_ ? MassesOf(layer) : nullptr; }
  void EndStep() override;
  void Forget() override;
  void MoveSlots() override { chosen_of_ = -1; }

 private:
  std::byte* LayerMemory(int layer) const;
  float* MassesOf(int layer) const { return reinterpret_cast<float*>(LayerMemory(layer)); }
  int32_t* Chosen(int layer) const;
  // Chooses among the first `older` groups of every layer, unless that was done.
  void Choose(Backend& backend, const KvView& target, int64_t older);

  DraftPolicySpec spec_;
  Planes planes_;             // of the groups but the newest two
  DeviceMemory memory_;       // a layer: masses [kv_heads][groups], chosen [kv_heads][count]
  int64_t weighed_ = 0;       // groups that the masses at hand are of; 0: there are none
  int64_t asked_groups_ = 0;  // groups of the step that asks for masses
  int steps_since_ = 0;       // target steps since masses were asked for
  bool is_used_ = false;      // drafts have chosen by the masses at hand
  bool asks_masses_ = false;
  int64_t chosen_of_ = -1;  // groups that the choice at hand is among; -1: there is none
};

}  // namespace quantspec
