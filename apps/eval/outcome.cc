#include "eval/outcome.h"

#include <algorithm>

#include "eval/fingerprint.h"
#include "eval/method.h"
#include "eval/split_mix.h"
#include "quantspec/error.h"

namespace quantspec::eval {

void CheckIdentical(const Cell& cell, const RunSpec& run, const Outcome& outcome,
                    const Outcome& plain) {
  const auto [ours, theirs] = std::mismatch(outcome.tokens.begin(), outcome.tokens.end(),
                                            plain.tokens.begin(), plain.tokens.end());
  std::string fault;
  if (ours != outcome.tokens.end() || theirs != plain.tokens.end()) {
    fault = "its output differs from plain decoding at token " +
            std::to_string(ours - outcome.tokens.begin());
  } else if (!outcome.digest.empty() && outcome.digest != plain.digest) {
    fault = "its cache is " + outcome.digest + ", after plain decoding it is " + plain.digest;
  }
  if (fault.empty()) return;
  throw Error(ErrorKind::kCorrupt, "cell " + CellId(cell) + " (" + CellTitle(cell) +
                                       "): " + run.method + " with gamma " +
                                       std::to_string(run.gamma) + ": " + fault +
                                       "; this is a fault of the program, please report it");
}

size_t FirstRun(const Cell& cell, int turn) {
  const size_t runs = cell.runs.size();
  // Neighbouring examples of a text begin half the order apart.
  const uint64_t place =
      SplitMix(HashBytes(cell.dataset) + static_cast<uint64_t>(cell.context) * kSplitMixStep) +
      static_cast<uint64_t>(cell.example) * (runs / 2 + 1);
  const size_t shift = static_cast<size_t>(turn) * runs / static_cast<size_t>(cell.turns);
  const size_t first = (static_cast<size_t>(place % runs) + shift) % runs;
  if (FindMethod(cell.runs[first].method).kind != MethodKind::kDraftAlone) return first;
  return (first + 1) % runs;
}

}  // namespace quantspec::eval
