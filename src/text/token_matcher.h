// Finds names of tokens in text: the longest one that starts at a place.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "quantspec/types.h"
#include "text/tokenizer_spec.h"

namespace quantspec {

struct TokenName {
  std::string text;
  Token token = -1;
  NameRules rules;
  bool is_special = false;
};

// Whether text[begin, end) may be the name of a special token.
using NameFilter = FunctionRef<bool(size_t begin, size_t end)>;

class TokenMatcher {
 public:
  struct Match {
    Token token = -1;  // -1 = none
    size_t bytes = 0;
  };

  // Of equal names the first one wins; empty ones are never found.
  explicit TokenMatcher(std::vector<TokenName> names);

  // The first name in text[from, ...); `place` is where it starts (the end if there is none). With
  // a filter, names of special tokens that it refuses are text.
  Match FindFrom(std::string_view text, size_t from, size_t* place,
                 const NameFilter* filter = nullptr) const;
  bool empty() const { return names_.empty(); }

 private:
  const TokenName* LongestAt(std::string_view text, size_t at, const NameFilter* filter) const;

  std::vector<TokenName> names_;  // sorted by text
  std::array<bool, 256> starts_{};
};

}  // namespace quantspec
