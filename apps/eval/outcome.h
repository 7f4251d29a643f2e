// What one run of a method gave, and whether it is what plain decoding gives.
#pragma once

#include <string>
#include <vector>

#include "eval/cell.h"
#include "quantspec/types.h"

namespace quantspec::eval {

struct Outcome {
  std::vector<Token> tokens;
  std::string digest;  // of the cache; empty: not computed
  GenerateStats stats;
  std::vector<double> moments;  // in seconds, at which tokens came
};

// Throws Error{kCorrupt}, naming the cell and the run, if output or cache differ from those of
// plain decoding with the same target.
void CheckIdentical(const Cell& cell, const RunSpec& run, const Outcome& outcome,
                    const Outcome& plain);

// The first run of a turn: every example begins elsewhere, so that no method always runs on the
// coldest or the hottest machine. The others follow in the cell's order, round to the one before.
// `plain-int4` is never first: it is fed what plain decoding wrote.
size_t FirstRun(const Cell& cell, int turn);

}  // namespace quantspec::eval
