#include "eval/method.h"

#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

const std::vector<int> kSparse = {1, 2, 3};  // the range the paper searched
const std::vector<int> kWide = {1, 2, 3, 4, 6, 8};

DraftOptions Draft(DraftKind kind, DraftPart weights, DraftPart cache, float share) {
  DraftOptions draft;
  draft.kind = kind;
  draft.weights = weights;
  draft.cache = cache;
  draft.budget_share = share;
  return draft;
}

Method Plain(const std::string& name, const std::string& label, MethodKind kind, Target target) {
  Method method;
  method.name = name;
  method.label = label;
  method.kind = kind;
  method.target = target;
  method.draft_weights = method.draft_cache = "none";
  if (kind == MethodKind::kDraftAlone) {
    method.draft = Draft(DraftKind::kUpper, DraftPart::kInt4, DraftPart::kTarget, 0);
    method.draft_weights = "int4";
    method.draft_cache = "target";
  }
  return method;
}

// A row policy over a quarter of the tokens, with either kind of weights.
Method Rows(const std::string& name, const std::string& label, DraftKind kind, Target target) {
  const bool is_paper = target == Target::kPaper;
  Method method;
  method.name = name;
  method.label = label;
  method.target = target;
  method.draft =
      Draft(kind, is_paper ? DraftPart::kTarget : DraftPart::kInt4, DraftPart::kTarget, 0.25f);
  method.draft_weights = is_paper ? "target" : "int4";
  method.draft_cache = "target";
  method.few_gammas = {is_paper ? 1 : 4};
  method.more_gammas = is_paper ? kSparse : kWide;
  return method;
}

Method Planes(const std::string& name, const std::string& label, DraftKind kind, DraftPart weights,
              DraftPart cache, std::vector<int> few) {
  Method method;
  method.name = name;
  method.label = label;
  method.draft = Draft(kind, weights, cache, 0);
  method.draft_weights = weights == DraftPart::kTarget ? "target" : "int4";
  method.draft_cache = cache == DraftPart::kTarget ? "target" : "int4";
  method.few_gammas = std::move(few);
  method.more_gammas = kWide;
  return method;
}

Method Ngram() {
  Method method;
  method.name = "ngram";
  method.label = "n-gram lookup";
  method.draft.kind = DraftKind::kNgram;
  method.draft_weights = method.draft_cache = "none";
  method.few_gammas = {4};
  method.more_gammas = kWide;
  return method;
}

// SnapKV as MagicDec computes it.
Method UnscaledSnapKv() {
  Method method =
      Rows("snapkv-unscaled", "SnapKV without scaling", DraftKind::kSnapKv, Target::kPaper);
  method.draft.snapkv_scaled = false;
  return method;
}

Method Pillar() {
  Method method = Rows("pillar", "Pillar, 4-bit weights", DraftKind::kPillar, Target::kOwn);
  method.draft.budget_share = 0;  // its own default, a sixteenth
  return method;
}

std::vector<Method> MakeMethods() {
  constexpr DraftPart kInt4 = DraftPart::kInt4, kTarget = DraftPart::kTarget;
  return {
      Plain(kPlainPaper, "plain, 16 bits", MethodKind::kPlain, Target::kPaper),
      Plain(kPlainOwn, "plain, own target", MethodKind::kPlain, Target::kOwn),
      Plain(kPlainInt4, "plain, 4-bit weights", MethodKind::kDraftAlone, Target::kOwn),
      Rows("streaming", "StreamingLLM", DraftKind::kStreaming, Target::kPaper),
      Rows("snapkv", "SnapKV", DraftKind::kSnapKv, Target::kPaper),
      Rows("streaming-int4", "StreamingLLM, 4-bit weights", DraftKind::kStreaming, Target::kOwn),
      Rows("snapkv-int4", "SnapKV, 4-bit weights", DraftKind::kSnapKv, Target::kOwn),
      Pillar(),
      Ngram(),
      Planes("quantspec-all", "QuantSpec (all groups, as in the paper)", DraftKind::kUpper, kInt4,
             kInt4, {4}),
      Planes("quantspec", "QuantSpec (a quarter of the groups)", DraftKind::kGroups, kInt4, kInt4,
             {4}),
      UnscaledSnapKv(),
      Rows("pillar-quarter", "Pillar, a quarter of the tokens", DraftKind::kPillar, Target::kPaper),
      Planes("kv-quarter", "4-bit cache only, a quarter of the groups", DraftKind::kGroups, kTarget,
             kInt4, {2}),
      Planes("kv-only", "4-bit cache only", DraftKind::kUpper, kTarget, kInt4, {2}),
      Planes("weights-only", "4-bit weights only", DraftKind::kUpper, kInt4, kTarget, {2}),
  };
}

}  // namespace

const std::vector<Method>& Methods() {
  static const std::vector<Method> methods = MakeMethods();
  return methods;
}

std::vector<std::string> MethodNames() {
  std::vector<std::string> names;
  for (const Method& method : Methods()) names.push_back(method.name);
  return names;
}

const Method& FindMethod(const std::string& name) {
  std::string known;
  for (const Method& method : Methods()) {
    if (method.name == name) return method;
    known += (known.empty() ? "" : ", ") + method.name;
  }
  throw Error(ErrorKind::kUsage, "unknown method '" + name + "', expected one of " + known);
}

}  // namespace quantspec::eval
