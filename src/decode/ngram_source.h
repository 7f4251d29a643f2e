// Drafts by looking up: what followed the last tokens where they stood earlier in the text.
// [promptlookup]
#pragma once

#include "decode/draft_source.h"

namespace quantspec {

// Searches the whole sequence for the longest match of its end, of at least kLeast tokens and at
// most kMost, and proposes what followed; of equally long ones the latest. Costs a pass over the
// tokens, about 20 us for 100,000.
class NgramSource : public DraftSource {
 public:
  static constexpr int kLeast = 2;
  static constexpr int kMost = 16;
  int Propose(std::span<const Token> tokens, std::span<Token> proposed) override;
};

}  // namespace quantspec
