#include "decode/ngram_source.h"

#include <algorithm>

namespace quantspec {
namespace {

// Tokens before `end` that equal those at the end of the text, at most NgramSource::kMost.
int MatchLength(std::span<const Token> tokens, size_t end) {
  const size_t most = std::min(end, static_cast<size_t>(NgramSource::kMost));
  size_t length = 0;
  while (length < most && tokens[end - 1 - length] == tokens[tokens.size() - 1 - length]) ++length;
  return static_cast<int>(length);
}

}  // namespace

int NgramSource::Propose(std::span<const Token> tokens, std::span<Token> proposed) {
  if (tokens.size() < 2 || proposed.empty()) return 0;
  int longest = least_ - 1;
  size_t found = 0;  // where what followed begins
  for (size_t end = tokens.size() - 1; end >= static_cast<size_t>(least_); --end) {
    if (tokens[end - 1] != tokens.back()) continue;
    const int length = MatchLength(tokens, end);
    if (length <= longest) continue;
    longest = length;
    found = end;
    if (longest == kMost) break;
  }
  if (found == 0) return 0;
  // A match that overlaps the end repeats itself: what it proposes may go on with proposed tokens.
  for (size_t i = 0; i < proposed.size(); ++i) {
    const size_t from = found + i;
    proposed[i] = from < tokens.size() ? tokens[from] : proposed[from - tokens.size()];
  }
  return static_cast<int>(proposed.size());
}

}  // namespace quantspec
