// The options that choose a draft.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "cli/json.h"
#include "quantspec/types.h"

namespace quantspec::cli {

// --draft, --draft-budget (and its older name --draft-context), --draft-weights, --draft-cache,
// --snapkv-scale, --snapkv-pool.
void AddDraftOptions(CLI::App& app, DraftOptions& draft);

// DraftOptions' budget: "auto", "all", a number of tokens, or a share such as 0.25. UsageError for
// anything else.
void ParseDraftBudget(std::string_view option, std::string_view text, DraftOptions& draft);

// "groups", "upper", "streaming", "snapkv", "pillar" or "ngram".
std::string DraftName(const DraftOptions& draft);
std::string DraftBudgetText(const DraftOptions& draft);
Json DraftBudgetJson(const DraftOptions& draft);  // a number, "auto" or "all"

}  // namespace quantspec::cli
