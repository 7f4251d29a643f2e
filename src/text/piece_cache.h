// Words that come back within one text are merged once: remembers where in the output their tokens
// stand.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quantspec/types.h"

namespace quantspec {

class PieceCache {
 public:
  // Appends the tokens of `piece` to `out` if they are known.
  bool Append(std::string_view piece, std::vector<Token>& out) const {
    if (piece.size() > kLongest) return false;
    const auto found = places_.find(piece);
    if (found == places_.end()) return false;
    for (size_t i = 0; i < found->second.count; ++i) {
      const Token token = out[found->second.begin + i];
      out.push_back(token);
    }
    return true;
  }
  // `piece`, which must outlive the cache, became out[begin ..].
  void Remember(std::string_view piece, size_t begin, const std::vector<Token>& out) {
    if (piece.size() > kLongest || places_.size() >= kMost) return;
    places_[piece] = {begin, out.size() - begin};
  }

 private:
  static constexpr size_t kLongest = 48;
  static constexpr size_t kMost = size_t{1} << 17;
  struct Place {
    size_t begin, count;
  };
  std::unordered_map<std::string_view, Place> places_;
};

}  // namespace quantspec
