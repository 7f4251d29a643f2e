// Perplexity of a text, scored through the path that decodes: steps over a cache that is sealed as
// it grows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "bench/scores.h"
#include "quantspec/session.h"
#include "quantspec/text.h"

namespace quantspec {

enum class PerplexityProtocol {
  // The usual one of papers on quantisation: the text in one piece, disjoint windows, every token
  // of a window but its first is a target; no BOS.
  kGptq,
  // llama.cpp's: BOS, if the model's metadata asks for it, in front of the text and in place of
  // each window's first token; the targets are those of a window's second half.
  kLlama,
};

// The windows of a text.
struct PerplexityText {
  PerplexityProtocol protocol = PerplexityProtocol::kGptq;
  int window = 0;             // tokens
  std::vector<Token> tokens;  // [windows, window], as they are in the text
  // What stands for the first token of every window; -1: the token itself.
  Token first = -1;

  int windows() const { return static_cast<int>(tokens.size()) / window; }
  // Row of a window, from 0, that the first target follows.
  int scored_from() const;
  int64_t targets() const { return int64_t{windows()} * (window - 1 - scored_from()); }
};

inline constexpr int kGptqWindow = 2048;
inline constexpr int kLlamaWindow = 512;
inline constexpr int kC4Windows = 256;  // the usual share of C4

// Cuts a text into windows of `window` tokens (0: the protocol's usual length), the first `windows`
// of them (0: all). Throws Error{kUsage} if there is not even one.
PerplexityText CutWindows(const Tokenizer& tokenizer, std::string_view text,
                          PerplexityProtocol protocol, int window, int windows);
// The windows of a base-logits file; scored as kLlama.
PerplexityText WindowsOf(const Tokenizer& tokenizer, std::span<const Token> tokens, int window);

struct PerplexityOptions {
  // Also scores the draft: each row as the first drafted token of a round, after what the target
  // wrote. Takes a step a token, which is several times slower.
  bool draft = false;
};

struct PerplexityScores {
  int64_t sealed_targets = 0;  // predicted by a step that read sealed groups
  MeanSum target;              // negative log-likelihoods, nats
  MeanSum draft;               // none without PerplexityOptions::draft
};
// exp of the mean, and its standard error.
MeanError Perplexity(const MeanSum& negative_log_likelihoods);

// Sees every scored row in order: `draft` is empty where the draft is not scored.
using OnScoredRow =
    std::function<void(std::span<const float> target, std::span<const float> draft, Token next)>;
// Called with the share done, 0 to 1; returning false ends the scoring, with what there is.
using OnScored = std::function<bool(double share)>;

// Scores `text` with a session of at least window - 1 tokens of context; forgets what it held.
// Throws Error{kUsage}.
PerplexityScores ScorePerplexity(Session& session, const PerplexityText& text,
                                 const PerplexityOptions& options = {},
                                 const OnScoredRow& on_row = {}, const OnScored& on_scored = {});

}  // namespace quantspec
