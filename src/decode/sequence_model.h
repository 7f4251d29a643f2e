// What the speculative loop needs to know of a model: nothing about transformers. A toy model in
// the tests honours the same contract. [quantspec, Algorithm 1]
#pragma once

#include <span>

#include "base/logit_rows.h"
#include "base/view.h"
#include "quantspec/session.h"
#include "quantspec/types.h"

namespace quantspec {

// A sequence of tokens and a function from its prefixes to logits.
//
// 1. A target row's logits depend on the tokens before it only: not on how many rows ride along,
//    on drafted tokens that were rewound, or on the number of threads.
// 2. Draft steps may leave rows behind; a following target step over the same positions overwrites
//    them, after Rewind to where they began.
// 3. Rewind(n) ends a round: the first n tokens are accepted for good and may be sealed; never
//    rewind below an earlier round's end.
class SequenceModel {
 public:
  virtual ~SequenceModel() = default;

  virtual int vocab() const = 0;
  virtual int Length() const = 0;
  // The most tokens the present round may append after Length(): to the seal boundary or the end
  // of the context. 0 = the context is full.
  virtual int Room() const = 0;

  // Appends a prompt; returns the target logits of its last token [1, vocab], or an empty view if
  // `on_prefill` stopped it. Ends a round.
  virtual ConstRows Prefill(std::span<const Token> prompt, const OnPrefill& on_prefill) = 0;
  // Appends `tokens` (1 to Room()), returns their logits [tokens, vocab], valid until the next
  // call.
  virtual LogitRows Step(Reader reader, std::span<const Token> tokens) = 0;
  // Drops tokens appended by the present round beyond `length`, without ending it: between the
  // draft steps and the verify step.
  virtual void Drop(int length) = 0;
  virtual void Rewind(int length) = 0;
};

}  // namespace quantspec
