// What a draft reads of a sequence's cache: a policy turns the target's view into the draft's.
// Speculative output is plain output whatever a policy reads, because the target, which reads
// everything, judges what the draft proposes.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

// Belongs to one sequence. A step of a model calls BeginStep, then for every layer either View (the
// draft's step) or Masses (the target's), then EndStep.
class DraftPolicy {
 public:
  virtual ~DraftPolicy() = default;

  // `groups`: sealed groups that the target's views hold in this step. `last_of_prompt`: the step
  // ends a prompt, so that the next one may be a draft's.
  virtual void BeginStep(Backend& backend, Reader reader, const KvView& target,
                         bool last_of_prompt) = 0;
  virtual KvView View(int layer, const KvView& target) const = 0;
  // Where attention puts what the target's groups weigh (AttendRows::masses); null: not wanted.
  virtual float* Masses(int layer) const = 0;
  // The step is complete: masses written by attention are valid now.
  virtual void EndStep() = 0;
  // Forgets the masses: a prompt begins, or the sequence was cut.
  virtual void Forget() = 0;
  // A policy of the same kind for a copy of the sequence, with nothing known yet.
  virtual std::unique_ptr<DraftPolicy> Fork(Backend& backend) const = 0;
};

struct DraftPolicySpec {
  KvGeometry geometry;
  int layers = 0;
  int groups = 0;  // the most that a sequence seals
  // SessionOptions::draft_context.
  int draft_context = kDraftContextAuto;
};

// Groups that an upper-plane draft chooses among `groups`.
int64_t DraftGroups(int draft_context, int64_t groups);

// Bytes of device memory that MakeDraftPolicy takes; exact.
uint64_t DraftPolicyBytes(const DraftPolicySpec& spec);

// Reads the upper plane of sealed groups: for each KV head those with the largest attention mass in
// the target's latest measured step, or all of them with kDraftContextAll, which is the paper's
// draft; and the newest two groups in both planes. Throws Error{kMemory}. [quest, triforce]
std::unique_ptr<DraftPolicy> MakeDraftPolicy(const DraftPolicySpec& spec, const Backend& backend);

}  // namespace quantspec
