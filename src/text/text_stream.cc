// Streaming decode: bytes of tokens in, whole characters out.

#include <cstdint>
#include <string>

#include "quantspec/text.h"
#include "text/utf8.h"

namespace quantspec {

struct TextStream::State {
  explicit State(const Tokenizer& t) : tokenizer(t) {}
  const Tokenizer& tokenizer;
  std::string held;  // bytes of a character that is not whole yet
  std::string out;

  // Moves whole characters from `held` to `out`, invalid bytes as U+FFFD, and keeps a last
  // character that more bytes may complete.
  void MoveWhole() {
    size_t at = 0;
    while (at < held.size()) {
      const Utf8Step step = NextUtf8(std::string_view(held).substr(at));
      if (step.kind == Utf8Kind::kIncomplete) break;
      if (step.kind == Utf8Kind::kInvalid) {
        out += kReplacement;
      } else {
        out.append(held, at, step.bytes);
      }
      at += step.bytes;
    }
    held.erase(0, at);
  }
};

TextStream::TextStream(const Tokenizer& tokenizer) : state_(std::make_unique<State>(tokenizer)) {
  // Room for any usual piece, so that streaming seldom allocates.
  state_->held.reserve(256);
  state_->out.reserve(1024);
}

TextStream::~TextStream() = default;

std::string_view TextStream::Push(Token token) {
  state_->out.clear();
  state_->held += state_->tokenizer.Piece(token);
  state_->MoveWhole();
  return state_->out;
}

std::string_view TextStream::Finish() {
  state_->out.clear();
  if (!state_->held.empty()) state_->out = kReplacement;
  state_->held.clear();
  return state_->out;
}

}  // namespace quantspec
