// What a draft reads of a sequence's cache: a policy turns the target's view into the draft's.
// Speculative output is plain output whatever a policy reads, because the target, which reads
// everything, judges what the draft proposes.
#pragma once

#include <cstdint>
#include <memory>

#include "base/function_ref.h"
#include "kernels/backend.h"
#include "quantspec/types.h"

namespace quantspec {

enum class StepPart : uint8_t {
  kDecode,
  kPrompt,       // rows of a prompt that goes on
  kEndOfPrompt,  // its last ones, so that the next step may be a draft's
};

// A step of the model over a sequence's rows [first_position, first_position + rows).
struct PolicyStep {
  Reader reader = Reader::kTarget;
  int first_position = 0;
  int rows = 0;
  int committed = 0;  // tokens before them that are final
  // What the target reads of a layer in this step, as DraftPolicy counts layers; valid during
  // BeginStep.
  FunctionRef<KvView(int layer)> view;
  StepPart part = StepPart::kDecode;
};

// Belongs to one sequence. A step of a model calls BeginStep, then for every layer either View (the
// draft's step) or TakeQueries and Masses (the target's), then EndStep. Layers with a window have
// no part in this, and are not counted: drafts read of them what the target does.
class DraftPolicy {
 public:
  virtual ~DraftPolicy() = default;

  virtual void BeginStep(Backend& backend, const PolicyStep& step) = 0;
  // What the draft reads of a layer whose target reads `target`. Outside a step: what it would read
  // now.
  virtual KvView View(int layer, const KvView& target) const = 0;
  // The target's rotated queries [rows, q_heads * head_dim] of rows of the step, in order.
  virtual void TakeQueries(Backend&, int /*layer*/, ConstRows /*q*/, int64_t /*first_position*/) {}
  // Rows of queries before a prompt's end that TakeQueries must see, so that they have to be
  // computed; at least 1.
  virtual int QueryRows() const { return 1; }
  // Where attention puts what the target's groups weigh (AttendRows::masses); null: not wanted.
  virtual float* Masses(int /*layer*/) const { return nullptr; }
  // The step is complete: queries, and masses written by attention, are valid now.
  virtual void EndStep() {}
  // A prompt begins: what was chosen is forgotten.
  virtual void Forget() {}
  // The sequence was cut to `length` tokens.
  virtual void Rewind(int /*length*/) { Forget(); }
  // The groups are in other slots now.
  virtual void MoveSlots() {}
  // Takes over what `other`, the policy of the sequence that this one's is a copy of, knows of the
  // target's latest queries.
  virtual void TakeOver(Backend&, const DraftPolicy& /*other*/) {}
};

struct DraftPolicySpec {
  KvGeometry geometry;
  KvType dense_type = KvType::kF16;
  int q_heads = 0;
  int layers = 0;         // without a window
  float softcap = 0;      // of their scores, as in AttendArgs
  int context = 0;        // tokens that a sequence holds at most
  float score_scale = 0;  // AttendArgs::scale; 0: 1 / sqrt(head_dim)
  bool is_sealed = true;  // the cache has sealed groups
  DraftOptions draft;

  int Groups() const { return is_sealed ? context / kKvGroup : 0; }
};

// Throws Error{kUsage} naming the first option that is out of its range or does not go with the
// others or with such a cache.
void CheckDraft(const DraftOptions& draft, CacheKind cache);

// Groups that a draft of kGroups chooses among `groups`.
int64_t DraftGroups(const DraftOptions& draft, int64_t groups);
// Tokens that a draft which reads single rows keeps of `tokens`.
int64_t DraftRows(const DraftOptions& draft, int64_t tokens);

// Bytes of device memory that MakeDraftPolicy takes; exact.
uint64_t DraftPolicyBytes(const DraftPolicySpec& spec, const Backend& backend);
// Throws Error{kMemory}.
std::unique_ptr<DraftPolicy> MakeDraftPolicy(const DraftPolicySpec& spec, const Backend& backend);

}  // namespace quantspec
