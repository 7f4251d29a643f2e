// What decoding one sequence needs to know of a model: nothing about transformers. A toy model in
// the tests honours the same contract. [quantspec, Algorithm 1]
#pragma once

#include <span>

#include "base/function_ref.h"
#include "base/logit_rows.h"
#include "quantspec/types.h"

namespace quantspec {

// Takes a step's logits [rows, vocab], which are valid during the call.
using TakeLogits = FunctionRef<void(const LogitRows& logits)>;

// A sequence of tokens and a function from its prefixes to logits.
//
// 1. A target row's logits depend on the tokens before it only: not on how many rows ride along,
//    on drafted tokens that were dropped, or on the number of threads.
// 2. Draft steps may leave rows behind; a following target step over the same positions overwrites
//    them, after Truncate to where they began.
// 3. Committed tokens are final and may be sealed.
class SequenceModel {
 public:
  virtual ~SequenceModel() = default;

  virtual int Length() const = 0;
  // The most tokens the present round may append after Length(): to where a group is sealed or the
  // end of the context. 0 = the context is full.
  virtual int Room() const = 0;

  // Appends `tokens` (1 to Room()) and hands their logits to `take`. An exception, of `take` too,
  // leaves the sequence as it was.
  virtual void Step(Reader reader, std::span<const Token> tokens, TakeLogits take) = 0;
  // Drops tokens appended by the present round beyond `length`, without ending it.
  virtual void Truncate(int length) = 0;
  // Ends the round: the first `length` tokens are final, those behind are dropped.
  virtual void Commit(int length) = 0;
};

}  // namespace quantspec
