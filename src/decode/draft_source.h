// What proposes the tokens of a round without the model.
#pragma once

#include <span>

#include "quantspec/types.h"

namespace quantspec {

class DraftSource {
 public:
  virtual ~DraftSource() = default;
  // Writes tokens that may follow `tokens` to the front of `proposed`; returns how many, 0 if it
  // knows of none. Allocates nothing.
  virtual int Propose(std::span<const Token> tokens, std::span<Token> proposed) = 0;
};

}  // namespace quantspec
