#include "server/api/answer_text.h"

#include <utility>

namespace quantspec::server {

Piece AnswerText::Take(std::string text) {
  Piece piece;
  piece.text = std::move(text);
  // The token whose text begins a stop text goes with what came before it, or not at all.
  if (!piece.text.empty()) piece.scored = std::exchange(held_, {});
  return piece;
}

Piece AnswerText::Push(Token token, std::vector<TokenLogprob> logprobs) {
  if (stopped()) return {};
  ++tokens_;
  if (tokenizer_.IsSpecial(token)) return {};
  if (!logprobs.empty()) held_.push_back({token, std::move(logprobs)});
  return Take(stop_.Push(stream_.Push(token)));
}

Piece AnswerText::Finish() {
  if (stopped()) return {};
  std::string text = stop_.Push(stream_.Finish());
  text += stop_.Finish();
  Piece piece = Take(std::move(text));
  if (!stopped() && piece.scored.empty()) piece.scored = std::exchange(held_, {});
  return piece;
}

}  // namespace quantspec::server
