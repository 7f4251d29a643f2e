// Where a stop text ends an answer.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "quantspec/text.h"

namespace quantspec {

class StopSearch {
 public:
  StopSearch(const Tokenizer& tokenizer, std::vector<std::string> stops)
      : tokenizer_(tokenizer), text_(tokenizer), stop_(std::move(stops)) {}

  // True if the text up to and with `token` has a stop text; special tokens have no text.
  bool Push(Token token) {
    if (!tokenizer_.IsSpecial(token)) stop_.Push(text_.Push(token));
    return found();
  }
  bool found() const { return stop_.found(); }

 private:
  const Tokenizer& tokenizer_;
  TextStream text_;
  StopText stop_;
};

}  // namespace quantspec
