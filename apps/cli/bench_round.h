// Rounds of speculation timed at one depth with an assumed acceptance, for models whose real one
// means nothing.
#pragma once

#include <functional>

#include "quantspec/session.h"

namespace quantspec::cli {

// Expected tokens of a round whose draft tokens are accepted with probability `accept` each, until
// the first that is not: 1 + accept + ... + accept^gamma.
double TokensPerRound(double accept, int gamma);

struct RoundTime {
  int gamma = 0;
  double draft_s = 0;   // the gamma draft steps
  double verify_s = 0;  // the target step over gamma + 1 rows
  double TokensPerSecond(double accept) const {
    return TokensPerRound(accept, gamma) / (draft_s + verify_s);
  }
};

// Times `rounds` rounds after the tokens in `session` and takes the mean of each part; every round
// starts at the same length, so nothing is sealed. Needs step_room() > gamma.
RoundTime TimeRounds(Session& session, int gamma, int rounds);

// The gamma of 0 to `largest` with the most tokens a second at this acceptance, by timing a few
// rounds of each.
int BestGamma(Session& session, double accept, int largest);

}  // namespace quantspec::cli
