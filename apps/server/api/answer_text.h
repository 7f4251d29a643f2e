// From the tokens of one answer to the text that its client gets.
#pragma once

#include <string>
#include <vector>

#include "quantspec/text.h"
#include "quantspec/types.h"

namespace quantspec::server {

// A token of the answer with the log-probabilities that were asked for: its own, then the
// likeliest.
struct ScoredToken {
  Token token = 0;
  std::vector<TokenLogprob> logprobs;
};

// Text that is sure to belong to the answer, and the tokens that it comes from.
struct Piece {
  std::string text;
  std::vector<ScoredToken> scored;  // where log-probabilities were asked for
};

class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops)
      : tokenizer_(tokenizer), stream_(tokenizer), stop_(std::move(stops)) {}

  // Special tokens, that of the end included, have no text and are left out.
  Piece Push(Token token, std::vector<TokenLogprob> logprobs);
  // What was held back.
  Piece Finish();
  // True once a stop text was found; the pieces end before it.
  bool stopped() const { return stop_.found(); }
  const std::string& stop_text() const { return stop_.which(); }
  // Tokens so far, special ones included, none after a stop text.
  int tokens() const { return tokens_; }

 private:
  Piece Take(std::string text);

  const Tokenizer& tokenizer_;
  TextStream stream_;
  StopText stop_;
  std::vector<ScoredToken> held_;  // their text did not come out yet
  int tokens_ = 0;
};

}  // namespace quantspec::server
