#include "text/token_matcher.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "text/characters.h"

namespace quantspec {
namespace {

// Letters, digits or underscores touch text[begin, end).
bool IsInsideWord(std::string_view text, size_t begin, size_t end) {
  return EndsWithWordCharacter(text.substr(0, begin)) || StartsWithWordCharacter(text.substr(end));
}

}  // namespace

TokenMatcher::TokenMatcher(std::vector<TokenName> names) {
  std::stable_sort(names.begin(), names.end(),
                   [](const TokenName& a, const TokenName& b) { return a.text < b.text; });
  for (TokenName& name : names) {
    if (name.text.empty() || (!names_.empty() && names_.back().text == name.text)) continue;
    starts_[static_cast<uint8_t>(name.text[0])] = true;
    names_.push_back(std::move(name));
  }
}

TokenMatcher::Match TokenMatcher::FindFrom(std::string_view text, size_t from, size_t* place,
                                           const NameFilter* filter) const {
  *place = text.size();
  if (names_.empty()) return {};
  for (size_t at = from; at < text.size(); ++at) {
    if (!starts_[static_cast<uint8_t>(text[at])]) continue;
    const TokenName* name = LongestAt(text, at, filter);
    if (name == nullptr) continue;
    size_t begin = at, end = at + name->text.size();
    if (name->rules.is_word && IsInsideWord(text, begin, end)) {
      at = end - 1;
      continue;
    }
    if (name->rules.takes_left) begin -= SpaceBytesAtEnd(text.substr(from, begin - from));
    if (name->rules.takes_right) end += SpaceBytesAtStart(text.substr(end));
    *place = begin;
    return {name->token, end - begin};
  }
  return {};
}

const TokenName* TokenMatcher::LongestAt(std::string_view whole, size_t begin,
                                         const NameFilter* filter) const {
  const std::string_view text = whole.substr(begin);
  const TokenName* best = nullptr;
  auto first = names_.begin(), last = names_.end();
  for (size_t depth = 0; first != last; ++depth) {
    // Here all of [first, last) agree with the text in `depth` bytes; a name that ends here stands
    // in front of the longer ones.
    if (first->text.size() == depth) {
      const bool is_allowed =
          filter == nullptr || !first->is_special || (*filter)(begin, begin + depth);
      if (is_allowed) best = &*first;
      ++first;
    }
    if (depth == text.size()) break;
    const auto next = static_cast<uint8_t>(text[depth]);
    const auto at = [&](const TokenName& name) { return static_cast<uint8_t>(name.text[depth]); };
    first = std::partition_point(first, last, [&](const TokenName& n) { return at(n) < next; });
    last = std::partition_point(first, last, [&](const TokenName& n) { return at(n) == next; });
  }
  return best;
}

}  // namespace quantspec
