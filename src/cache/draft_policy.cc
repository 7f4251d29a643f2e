#include "cache/draft_policy.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "cache/group_policy.h"
#include "cache/observing_policy.h"
#include "cache/streaming_policy.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// By measurement (docs/results.md): a quarter of the groups costs hardly any acceptance where there
// are many; of few a quarter is too few, and reading them is cheap.
constexpr float kAutoShare = 0.25f;
constexpr float kPillarShare = 0.0625f;
constexpr int64_t kAutoLeastGroups = 12;
// Fewer would hardly be a draft's context.
constexpr int64_t kLeastRows = 64;

// Reads the target's cache as the target does: for drafts that no model makes, and for models whose
// layers have windows.
class WholePolicy : public DraftPolicy {
 public:
  void BeginStep(Backend&, const PolicyStep&) override {}
  KvView View(int, const KvView& target) const override { return target; }
};

// Rounded up, but not because 0.1 has no exact binary form.
int64_t ShareOf(float share, int64_t tokens) {
  const double exact = static_cast<double>(share) * static_cast<double>(tokens);
  return static_cast<int64_t>(std::ceil(exact * (1 - 1e-6)));
}

bool ReadsGroups(DraftKind kind) { return kind == DraftKind::kGroups || kind == DraftKind::kUpper; }

}  // namespace

void CheckDraft(const DraftOptions& draft, CacheKind cache) {
  if (draft.budget_tokens < kDraftBudgetAuto) {
    throw Error(ErrorKind::kUsage, "draft budget: found " + std::to_string(draft.budget_tokens) +
                                       ", expected -1 (automatic) or a number of tokens");
  }
  if (!(draft.budget_share >= 0 && draft.budget_share <= 1)) {
    throw Error(ErrorKind::kUsage, "draft budget: found a share of " +
                                       std::to_string(draft.budget_share) + ", expected 0 to 1");
  }
  const bool has_budget = draft.budget_share > 0 || (draft.budget_tokens != kDraftBudgetAuto &&
                                                     draft.budget_tokens != kDraftBudgetAll);
  if (draft.kind == DraftKind::kUpper && has_budget) {
    throw Error(
        ErrorKind::kUsage,
        "draft budget: the draft upper reads all groups; use the draft groups to read less");
  }
  const bool has_parts = draft.weights != DraftPart::kAuto || draft.cache != DraftPart::kAuto;
  if (draft.kind == DraftKind::kNgram && (has_budget || has_parts)) {
    throw Error(ErrorKind::kUsage,
                "the draft ngram reads neither weights nor cache: a draft budget, draft weights "
                "and a draft cache do not go with it");
  }
  if (draft.cache != DraftPart::kInt4) return;
  if (!ReadsGroups(draft.kind)) {
    throw Error(ErrorKind::kUsage,
                "draft cache: found int4 with a draft that reads single rows or none, which are "
                "the target's; use the draft upper or groups, or the draft cache target");
  }
  if (cache == CacheKind::kFull) {
    throw Error(ErrorKind::kUsage,
                "draft cache: found int4 with a full cache, which has no 4-bit plane; use a "
                "hierarchical cache, or the draft cache target");
  }
}

int64_t DraftGroups(const DraftOptions& draft, int64_t groups) {
  int64_t most = groups;
  if (draft.kind == DraftKind::kUpper) return groups;
  if (draft.budget_share > 0) {
    most = ShareOf(draft.budget_share, groups);
  } else if (draft.budget_tokens == kDraftBudgetAuto) {
    most = std::max(ShareOf(kAutoShare, groups), kAutoLeastGroups);
  } else {
    most = CeilDiv(int64_t{draft.budget_tokens}, int64_t{kKvGroup});
  }
  return std::min(most, groups);
}

int64_t DraftRows(const DraftOptions& draft, int64_t tokens) {
  int64_t most = draft.budget_tokens;
  if (draft.budget_share > 0) {
    most = ShareOf(draft.budget_share, tokens);
  } else if (draft.budget_tokens == kDraftBudgetAuto) {
    most = ShareOf(draft.kind == DraftKind::kPillar ? kPillarShare : kAutoShare, tokens);
  }
  return std::min(std::max(most, kLeastRows), tokens);
}

uint64_t DraftPolicyBytes(const DraftPolicySpec& spec, const Backend& backend) {
  if (spec.layers == 0) return 0;
  switch (spec.draft.kind) {
    case DraftKind::kGroups:
    case DraftKind::kUpper:
      return GroupPolicy::Bytes(spec);
    case DraftKind::kStreaming:
      return StreamingPolicy::Bytes(spec, backend);
    case DraftKind::kSnapKv:
    case DraftKind::kPillar:
      return ObservingPolicy::Bytes(spec, backend);
    case DraftKind::kNgram:
      break;
  }
  return 0;
}

std::unique_ptr<DraftPolicy> MakeDraftPolicy(const DraftPolicySpec& spec, const Backend& backend) {
  if (spec.layers == 0) return std::make_unique<WholePolicy>();
  switch (spec.draft.kind) {
    case DraftKind::kGroups:
    case DraftKind::kUpper:
      return std::make_unique<GroupPolicy>(spec, backend);
    case DraftKind::kStreaming:
      return std::make_unique<StreamingPolicy>(spec, backend);
    case DraftKind::kSnapKv:
    case DraftKind::kPillar:
      return std::make_unique<ObservingPolicy>(spec, backend);
    case DraftKind::kNgram:
      break;
  }
  return std::make_unique<WholePolicy>();
}

}  // namespace quantspec
