// The cells of tables 4, 6, 7 and figures 5, 9: one prompt, read once a cache, then every method
// and gamma from there.
#pragma once

#include <functional>
#include <span>

#include "eval/cell.h"
#include "eval/cell_prompt.h"
#include "eval/engines.h"

namespace quantspec::eval {

// Called with the share of the cell that is done; returning false stops it.
using OnShare = std::function<bool(double share)>;

// {machine, prefill[], runs[]}: what the report needs of every run, turns in order. Throws
// Error{kCorrupt}, naming the cell, if the output or the cache of a method differs from its
// target's plain decoding, and cli::Cancelled if `on_share` stopped it.
Json RunDecoding(const Cell& cell, const CellPrompt& prompt, Engines& engines,
                 const OnShare& on_share);

}  // namespace quantspec::eval
