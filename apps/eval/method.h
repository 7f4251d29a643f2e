// The methods that are compared: what each of them reads, and in whose name.
#pragma once

#include <string>
#include <vector>

#include "quantspec/types.h"

namespace quantspec::eval {

// What a method's output must equal, and what verifies its drafts.
enum class Target {
  kOwn,    // --weights and the hierarchical cache
  kPaper,  // 16-bit weights and a 16-bit cache
};

enum class MethodKind {
  kPlain,        // the target alone
  kDraftAlone,   // only draft steps: what plain decoding with 4-bit weights would cost
  kSpeculative,  // rounds of gamma drafted tokens
};

struct Method {
  std::string name;   // in options and JSON
  std::string label;  // in tables
  MethodKind kind = MethodKind::kSpeculative;
  Target target = Target::kOwn;
  DraftOptions draft;
  std::string draft_weights;     // "target", "int4", or "none"
  std::string draft_cache;       // the same
  std::vector<int> few_gammas;   // with --profile smoke
  std::vector<int> more_gammas;  // with --profile paper
};

inline constexpr const char* kPlainPaper = "plain-bf16";
inline constexpr const char* kPlainOwn = "plain";
inline constexpr const char* kPlainInt4 = "plain-int4";
inline constexpr const char* kDraftOfPaper = "quantspec-all";

const std::vector<Method>& Methods();
std::vector<std::string> MethodNames();
// Throws Error{kUsage} for a name that is not one of them.
const Method& FindMethod(const std::string& name);

}  // namespace quantspec::eval
