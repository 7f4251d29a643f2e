// Which axis to quantise the cache along: perplexity over caches of floats whose older groups are
// rounded. [quantspec, table 3]
#pragma once

#include <span>
#include <vector>

#include "bench/perplexity.h"
#include "bench/rounded_cache.h"
#include "quantspec/engine.h"

namespace quantspec {

struct AxisScores {
  MeanSum floats;                // negative log-likelihoods over a cache that is not rounded
  std::vector<MeanSum> rounded;  // of each of the axes asked for, over the same targets
  int64_t rounded_targets = 0;   // targets that were predicted from rounded groups, too
};

// Scores the windows of `text` with the engine's target weights, in steps that decode, so that
// groups are rounded while the text goes on. `on_scored` as for ScorePerplexity. Throws
// Error{kMemory}.
AxisScores ScoreAxes(const Engine& engine, const PerplexityText& text,
                     std::span<const QuantAxes> axes, const OnScored& on_scored = {});

}  // namespace quantspec
