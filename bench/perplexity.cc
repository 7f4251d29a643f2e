#include "bench/perplexity.h"

#include <algorithm>
#include <cmath>

#include "bench/base_logits.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// Runs one window through a session, and adds its targets to the scores.
class WindowScorer {
 public:
  WindowScorer(Session& session, const PerplexityText& text, const PerplexityOptions& options,
               const OnScoredRow& on_row, const OnScored& on_scored)
      : session_(session), text_(text), options_(options), on_row_(on_row), on_scored_(on_scored) {}

  // False if the caller ended it.
  bool Score(int index) {
    const auto size = static_cast<size_t>(text_.window);
    const auto begin = text_.tokens.begin() + static_cast<std::ptrdiff_t>(size) * index;
    tokens_.assign(begin, begin + static_cast<std::ptrdiff_t>(size));
    next_ = tokens_;
    if (text_.first >= 0) tokens_[0] = text_.first;
    session_.Clear();
    const int rows = text_.window - 1;
    while (session_.length() < rows) {
      Advance(rows);
      const double share =
          (index + static_cast<double>(session_.length()) / rows) / text_.windows();
      if (on_scored_ && !on_scored_(share)) return false;
    }
    return true;
  }

  PerplexityScores scores;

 private:
  // One step of the target, over as many rows as there is room for; over one where the draft takes
  // part.
  void Advance(int rows) {
    const int start = session_.length();
    const bool drafts = options_.draft && start >= text_.scored_from();
    int count = std::min(session_.step_room(), rows - start);
    if (drafts) {
      count = 1;
    } else if (options_.draft) {
      count = std::min(count, text_.scored_from() - start);
    }
    const std::span<const Token> step = std::span<const Token>(tokens_).subspan(
        static_cast<size_t>(start), static_cast<size_t>(count));
    drafted_.clear();
    if (drafts) {
      const std::span<const float> logits = session_.Step(Reader::kDraft, step);
      drafted_.assign(logits.begin(), logits.end());
      session_.Rewind(start);
    }
    const bool reads_sealed = session_.sealed() > 0;
    const std::span<const float> logits = session_.Step(Reader::kTarget, step);
    const size_t vocab = logits.size() / step.size();
    for (int row = 0; row < count; ++row) {
      if (start + row < text_.scored_from()) continue;
      AddRow(logits.subspan(static_cast<size_t>(row) * vocab, vocab), start + row, reads_sealed);
    }
    session_.Rewind(start + count);
  }

  void AddRow(std::span<const float> target, int row, bool reads_sealed) {
    const Token next = next_[static_cast<size_t>(row) + 1];
    const auto at = static_cast<size_t>(next);
    scores.target.Add(-Distribution(target).LogProbability(at));
    if (!drafted_.empty()) scores.draft.Add(-Distribution(drafted_).LogProbability(at));
    scores.sealed_targets += reads_sealed ? 1 : 0;
    if (on_row_) on_row_(target, drafted_, next);
  }

  Session& session_;
  const PerplexityText& text_;
  PerplexityOptions options_;
  const OnScoredRow& on_row_;
  const OnScored& on_scored_;
  std::vector<Token> tokens_, next_;  // of the window: as input, as targets
  std::vector<float> drafted_;        // logits of the draft's row
};

void CheckWindow(int window) {
  if (window >= 3) return;
  throw Error(ErrorKind::kUsage,
              "a window of " + std::to_string(window) + " tokens, expected at least 3");
}

Token FirstToken(const Tokenizer& tokenizer, PerplexityProtocol protocol) {
  const bool adds = protocol == PerplexityProtocol::kLlama && tokenizer.adds_bos();
  return adds ? tokenizer.bos() : -1;
}

}  // namespace

int PerplexityText::scored_from() const {
  return protocol == PerplexityProtocol::kLlama ? BaseLogitsHeader::ScoredFrom(window) : 0;
}

PerplexityText CutWindows(const Tokenizer& tokenizer, std::string_view text,
                          PerplexityProtocol protocol, int window, int windows) {
  PerplexityText cut;
  cut.protocol = protocol;
  cut.window = window > 0                               ? window
               : protocol == PerplexityProtocol::kLlama ? kLlamaWindow
                                                        : kGptqWindow;
  CheckWindow(cut.window);
  cut.first = FirstToken(tokenizer, protocol);
  cut.tokens = tokenizer.Encode(text, SpecialTokens::kAsText);
  if (cut.first >= 0) cut.tokens.insert(cut.tokens.begin(), cut.first);
  const size_t there = cut.tokens.size() / static_cast<size_t>(cut.window);
  if (there == 0) {
    throw Error(ErrorKind::kUsage, "the text has " + std::to_string(cut.tokens.size()) +
                                       " tokens, less than one window of " +
                                       std::to_string(cut.window) +
                                       "; use a longer text or a shorter window");
  }
  const size_t taken = windows > 0 ? std::min(there, static_cast<size_t>(windows)) : there;
  cut.tokens.resize(taken * static_cast<size_t>(cut.window));
  return cut;
}

PerplexityText WindowsOf(const Tokenizer& tokenizer, std::span<const Token> tokens, int window) {
  CheckWindow(window);
  PerplexityText cut;
  cut.protocol = PerplexityProtocol::kLlama;
  cut.window = window;
  cut.tokens.assign(tokens.begin(), tokens.end());
  cut.first = FirstToken(tokenizer, cut.protocol);
  return cut;
}

MeanError Perplexity(const MeanSum& negative_log_likelihoods) {
  const MeanError nll = negative_log_likelihoods.mean_error();
  const double perplexity = std::exp(nll.mean);
  return {perplexity, perplexity * nll.error};
}

PerplexityScores ScorePerplexity(Session& session, const PerplexityText& text,
                                 const PerplexityOptions& options, const OnScoredRow& on_row,
                                 const OnScored& on_scored) {
  if (session.context() < text.window - 1) {
    throw Error(ErrorKind::kUsage, "a window of " + std::to_string(text.window) +
                                       " tokens needs a context of at least " +
                                       std::to_string(text.window - 1) + ", found " +
                                       std::to_string(session.context()));
  }
  WindowScorer scorer(session, text, options, on_row, on_scored);
  for (int window = 0; window < text.windows(); ++window) {
    if (!scorer.Score(window)) break;
  }
  session.Clear();
  return scorer.scores;
}

}  // namespace quantspec
