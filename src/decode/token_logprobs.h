// Log-probabilities of the model's own distribution, for whoever asks how sure it was.
#pragma once

#include <span>
#include <vector>

#include "quantspec/types.h"

namespace quantspec {

// Appends the log-probability of `chosen` and those of the `top` likeliest tokens, likeliest first
// and the lowest id first among equals. `logits`: of all tokens, one at least.
void AppendLogprobs(std::span<const float> logits, Token chosen, int top,
                    std::vector<TokenLogprob>* out);

}  // namespace quantspec
