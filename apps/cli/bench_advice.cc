#include "cli/bench_advice.h"

#include <algorithm>

#include "bench/scores.h"
#include "cli/bench_report.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

constexpr int kLookupGamma = 8;  // costs no draft steps
// Ratios that differ by less do not tell ways apart on a busy machine.
constexpr double kSame = 1.03;
// An automatic budget is a quarter, but at least so many tokens.
constexpr int kLeastTokens = 1536;
// Tokens from which it is a part of them worth comparing.
constexpr int kReadsPart = 2 * kLeastTokens;

double Times(const Candidate& candidate, const Candidate& plain) {
  return Median(candidate.tokens_per_s) / std::max(Median(plain.tokens_per_s), 1e-12);
}

std::string ShowTimes(double times) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", times);
  return text;
}

}  // namespace

std::vector<Candidate> MakeCandidates(const DraftOptions& draft, int gamma, int depth) {
  std::vector<Candidate> candidates = {{"plain decoding", draft, 0, {}}};
  if (gamma != 0) candidates.push_back({"gamma " + GammaText(gamma), draft, gamma, {}});
  DraftOptions other = draft;
  if (draft.kind != DraftKind::kNgram) {
    other.kind = DraftKind::kNgram;
    other.cache = DraftPart::kAuto;
    candidates.push_back({"n-gram lookup", other, kLookupGamma, {}});
  }
  const bool reads_part = draft.kind == DraftKind::kGroups && draft.budget_share == 0 &&
                          draft.budget_tokens == kDraftBudgetAuto && depth >= kReadsPart;
  if (reads_part && gamma != 0) {
    other = draft;
    other.budget_tokens = std::max(depth / 4, kLeastTokens) / 2;
    candidates.push_back({"reading half as many groups", other, gamma, {}});
    other.budget_tokens = kDraftBudgetAll;
    candidates.push_back({"reading all groups", other, gamma, {}});
  }
  return candidates;
}

void TimeCandidates(const Engine& engine, const SessionOptions& session,
                    std::span<const Token> prompt, int tokens, int turns,
                    std::vector<Candidate>* candidates) {
  SessionOptions options = session;
  options.reuse = PromptReuse::kPrompts;
  for (int turn = 0; turn < turns; ++turn) {
    for (Candidate& candidate : *candidates) {
      options.draft = candidate.draft;
      const auto own = engine.Open(options);
      if (!own->Prefill(prompt, [](int, int) { return !Interrupted(); })) throw Cancelled();
      GenerateOptions generate;
      generate.max_tokens = tokens;
      generate.gamma = candidate.gamma;
      generate.ignore_end = true;
      const GenerateStats stats =
          own->Generate(generate, [](Token) { return !Interrupted(); }).stats;
      if (Interrupted()) throw Cancelled();
      candidate.tokens_per_s.push_back(PerSecond(stats.generated_tokens, stats.decode_s));
    }
  }
}

std::string Advise(std::span<const Candidate> candidates, int depth) {
  const Candidate& plain = candidates.front();
  const auto best = std::max_element(candidates.begin(), candidates.end(),
                                     [](const Candidate& a, const Candidate& b) {
                                       return Median(a.tokens_per_s) < Median(b.tokens_per_s);
                                     });
  std::string text = "for this model and text at " + ShowCount(depth) + " tokens: ";
  const double most = Times(*best, plain);
  if (most < kSame) {
    text += "plain decoding (" + ShowNumber(Median(plain.tokens_per_s)) +
            " tokens/s), nothing pays more than " + ShowTimes(std::max(most, 1.0)) + " times that";
  } else {
    text += best->name + ", " + ShowTimes(most) + " times plain decoding (" +
            ShowNumber(Median(best->tokens_per_s)) + " tokens/s)";
  }
  const char* separator = "; ";
  for (const Candidate& candidate : candidates) {
    if (&candidate == &plain || (&candidate == &*best && most >= kSame)) continue;
    text += separator + candidate.name + " would give " + ShowTimes(Times(candidate, plain));
    separator = ", ";
  }
  return text;
}

}  // namespace quantspec::cli
