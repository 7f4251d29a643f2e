// The rejection rule: how a drafted token is judged by two distributions. [leviathan2023, 2.3]
#pragma once

#include <cstdint>
#include <span>

#include "quantspec/types.h"

namespace quantspec {

struct Verdict {
  Token token = 0;
  bool accepted = false;
};

// `drafted` was drawn from q. Accepted with probability min(1, p/q), else replaced by a draw from
// max(0, p - q), normalised; either way the result is distributed as p. p and q: [vocab]. The
// random numbers depend on the seed and the position of the token only.
Verdict AcceptOrResample(Token drafted, std::span<const float> p, std::span<const float> q,
                         uint64_t seed, uint64_t position);

}  // namespace quantspec
