#include "cli/bench_advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quantspec::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> NamesOf(const std::vector<Candidate>& candidates) {
  std::vector<std::string> names;
  for (const Candidate& candidate : candidates) names.push_back(candidate.name);
  return names;
}

TEST(MakeCandidates, AsksForWhatMayPay) {
  using ::testing::ElementsAre;
  EXPECT_THAT(NamesOf(MakeCandidates({}, 3, 8000)),
              ElementsAre("plain decoding", "gamma 3", "n-gram lookup",
                          "reading half as many groups", "reading all groups"));
  EXPECT_THAT(NamesOf(MakeCandidates({}, kGammaAuto, 1000)),
              ElementsAre("plain decoding", "gamma auto", "n-gram lookup"));
  EXPECT_THAT(NamesOf(MakeCandidates({}, 0, 8000)), ElementsAre("plain decoding", "n-gram lookup"));
  EXPECT_EQ(MakeCandidates({}, 3, 8000)[3].draft.budget_tokens, 1000);
  EXPECT_EQ(MakeCandidates({}, 3, 4096)[3].draft.budget_tokens, 768);
  DraftOptions draft;
  draft.kind = DraftKind::kNgram;
  EXPECT_THAT(NamesOf(MakeCandidates(draft, 4, 8000)), ElementsAre("plain decoding", "gamma 4"));
}

TEST(Advise, NamesTheFastestAndWhatTheOthersGive) {
  const std::vector<Candidate> candidates = {{"plain decoding", {}, 0, {9, 10, 50}},
                                             {"gamma 3", {}, 3, {13.6, 13.6, 2}},
                                             {"n-gram lookup", {}, 8, {11}}};
  EXPECT_EQ(Advise(candidates, 8000),
            "for this model and text at 8,000 tokens: gamma 3, 1.36 times plain decoding (13.6 "
            "tokens/s); n-gram lookup would give 1.10");
}

TEST(Advise, SaysPlainlyThatNothingPays) {
  const std::vector<Candidate> candidates = {
      {"plain decoding", {}, 0, {10}}, {"gamma 3", {}, 3, {7}}, {"n-gram lookup", {}, 8, {10.1}}};
  const std::string text = Advise(candidates, 100);
  EXPECT_THAT(text, HasSubstr("100 tokens: plain decoding (10.0 tokens/s), nothing pays more than "
                              "1.01 times that; gamma 3 would give 0.70"));
  EXPECT_THAT(text, Not(HasSubstr("times plain decoding")));
}

}  // namespace
}  // namespace quantspec::cli
