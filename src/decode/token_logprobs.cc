#include "decode/token_logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "decode/logit_blocks.h"

namespace quantspec {

void AppendLogprobs(std::span<const float> logits, Token chosen, int top,
                    std::vector<TokenLogprob>* out) {
  QS_CHECK(chosen >= 0 && static_cast<size_t>(chosen) < logits.size());
  float largest = -std::numeric_limits<float>::infinity();
  for (const float logit : logits) largest = std::max(largest, logit);
  double log_sum = 0;
  if (std::isfinite(largest)) log_sum = std::log(Exponentials(logits, largest, 1.0f, {}));
  const auto logprob = [&](Token token) {
    const float logit = logits[static_cast<size_t>(token)];
    return static_cast<float>(static_cast<double>(logit) - largest - log_sum);
  };
  out->push_back({chosen, logprob(chosen)});
  // The best so far, in order; a later one with an equal logit stands behind.
  const size_t first = out->size();
  const size_t most = std::min(static_cast<size_t>(top), logits.size());
  if (most == 0) return;
  for (size_t id = 0; id < logits.size(); ++id) {
    const float logit = logits[id];
    if (!(logit > -std::numeric_limits<float>::infinity())) continue;
    const size_t count = out->size() - first;
    if (count == most) {
      if (logit <= out->back().logprob) continue;
      out->pop_back();
    }
    const auto after =
        std::find_if(out->begin() + static_cast<std::ptrdiff_t>(first), out->end(),
                     [logit](const TokenLogprob& other) { return other.logprob < logit; });
    out->insert(after, {static_cast<Token>(id), logit});
  }
  for (size_t i = first; i < out->size(); ++i) (*out)[i].logprob = logprob((*out)[i].token);
}

}  // namespace quantspec
