#include "cli/draft_options.h"

#include "cli/common.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

const Choices<DraftKind>& DraftChoices() {
  static const Choices<DraftKind> choices = {
      {"groups", DraftKind::kGroups},       {"upper", DraftKind::kUpper},
      {"streaming", DraftKind::kStreaming}, {"snapkv", DraftKind::kSnapKv},
      {"pillar", DraftKind::kPillar},       {"ngram", DraftKind::kNgram}};
  return choices;
}

const Choices<DraftPart>& PartChoices() {
  static const Choices<DraftPart> choices = {
      {"auto", DraftPart::kAuto}, {"target", DraftPart::kTarget}, {"int4", DraftPart::kInt4}};
  return choices;
}

}  // namespace

void ParseDraftBudget(std::string_view option, std::string_view text, DraftOptions& draft) {
  draft.budget_share = 0;
  draft.budget_tokens = kDraftBudgetAuto;
  if (text == "auto") return;
  if (text == "all") {
    draft.budget_tokens = kDraftBudgetAll;
    return;
  }
  try {
    if (text.find('.') != std::string_view::npos) {
      draft.budget_share = static_cast<float>(ParseNumber(option, text, 0.0001, 1));
    } else {
      draft.budget_tokens = static_cast<int>(ParseInteger(option, text, 0, kMaxContext));
    }
  } catch (const UsageError&) {
    throw UsageError(std::string(option) + ": found '" + std::string(text) +
                     "', expected auto, all, a number of tokens, or a share such as 0.25");
  }
}

void AddDraftOptions(CLI::App& app, DraftOptions& draft) {
  AddChoice(app, "--draft", draft.kind, DraftChoices(),
            "what proposes tokens: the 4-bit plane of the heaviest groups or of all (upper), rows "
            "of the target's cache, or the text itself (default: groups)");
  for (const char* name : {"--draft-budget", "--draft-context"}) {
    AddValue(
        app, name, "auto|all|N|X.Y",
        [name, &draft](const std::string& text) { ParseDraftBudget(name, text, draft); },
        std::string(name) == "--draft-context"
            ? "the same, an older name"
            : "sealed tokens that a draft reads, a number or a share (default: auto, a quarter; of "
              "groups at least 1536 tokens, of pillar a sixteenth)");
  }
  AddChoice(app, "--draft-weights", draft.weights, PartChoices(),
            "weights that a draft reads (default: auto, int4 where the model has them)");
  AddChoice(
      app, "--draft-cache", draft.cache, PartChoices(),
      "planes of sealed groups that a draft reads (default: auto, int4 for groups and upper)");
  AddChoice<bool>(app, "--snapkv-scale", draft.snapkv_scaled, {{"on", true}, {"none", false}},
                  "observation scores over the root of head_dim, or not, as in MagicDec "
                  "(default: on)");
  AddChoice<SnapKvPool>(app, "--snapkv-pool", draft.snapkv_pool,
                        {{"avg5", SnapKvPool::kMean5}, {"max7", SnapKvPool::kMax7}},
                        "how SnapKV smooths scores (default: avg5)");
}

std::string DraftName(const DraftOptions& draft) {
  const bool reads_all = draft.kind == DraftKind::kGroups && draft.budget_tokens == kDraftBudgetAll;
  return NameOf(DraftChoices(), reads_all ? DraftKind::kUpper : draft.kind);
}

std::string DraftBudgetText(const DraftOptions& draft) {
  if (draft.budget_share > 0) return ShowNumber(draft.budget_share);
  if (draft.budget_tokens == kDraftBudgetAuto) return "auto";
  return draft.budget_tokens == kDraftBudgetAll ? "all" : std::to_string(draft.budget_tokens);
}

Json DraftBudgetJson(const DraftOptions& draft) {
  if (draft.budget_share > 0) return draft.budget_share;
  const bool is_name =
      draft.budget_tokens == kDraftBudgetAuto || draft.budget_tokens == kDraftBudgetAll;
  return is_name ? Json(DraftBudgetText(draft)) : Json(draft.budget_tokens);
}

}  // namespace quantspec::cli
