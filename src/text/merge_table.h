// The merges of a byte-pair encoding, as pairs of tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "quantspec/types.h"
#include "text/merger.h"
#include "text/tokenizer_spec.h"
#include "text/vocabulary.h"

namespace quantspec {

class MergeTable {
 public:
  // Throws Error{kCorrupt} for merges of texts that are no tokens.
  MergeTable(const TokenizerSpec& spec, const Vocabulary& vocabulary);

  struct Merge {
    Token left, right;
    Token result;
  };
  // What joining two tokens gives, by rank. On equal pairs the last one counts.
  Join JoinOf(Token left, Token right) const;

 private:
  size_t Slot(Token left, Token right) const;

  std::vector<Merge> merges_;   // by rank
  std::vector<int32_t> table_;  // ranks, open addressing; -1 = free; a power of two
};

}  // namespace quantspec
