#include "cli/draft_options.h"

#include <gtest/gtest.h>

#include "cli/arguments.h"

namespace quantspec::cli {
namespace {

DraftOptions Budget(const char* text) {
  DraftOptions draft;
  ParseDraftBudget("--draft-budget", text, draft);
  return draft;
}

TEST(ParseDraftBudget, TakesNamesNumbersAndSharesAndNothingElse) {
  EXPECT_EQ(Budget("auto").budget_tokens, kDraftBudgetAuto);
  EXPECT_EQ(Budget("all").budget_tokens, kDraftBudgetAll);
  EXPECT_EQ(Budget("0").budget_tokens, 0);
  EXPECT_EQ(Budget("4096").budget_tokens, 4096);
  EXPECT_FLOAT_EQ(Budget("0.25").budget_share, 0.25f);
  EXPECT_FLOAT_EQ(Budget("1.0").budget_share, 1.0f);
  for (const char* bad : {"", "-1", "ALL", "4k", "1.5", "0.0", ".", "99999999999999999999"}) {
    EXPECT_THROW(Budget(bad), UsageError) << bad;
  }
}

TEST(ParseDraftBudget, TheLastOneGivenCounts) {
  DraftOptions draft = Budget("0.5");
  ParseDraftBudget("--draft-budget", "256", draft);
  EXPECT_EQ(draft.budget_share, 0);
  EXPECT_EQ(DraftBudgetText(draft), "256");
}

TEST(DraftName, NamesWhatIsRead) {
  EXPECT_EQ(DraftName(Budget("auto")), "groups");
  EXPECT_EQ(DraftName(Budget("all")), "upper");
  DraftOptions draft = Budget("all");
  draft.kind = DraftKind::kSnapKv;
  EXPECT_EQ(DraftName(draft), "snapkv");
}

}  // namespace
}  // namespace quantspec::cli
