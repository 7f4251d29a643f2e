// Table 2: perplexity with the caches that are compared.
#pragma once

#include <string>

#include "eval/cell.h"
#include "eval/engines.h"
#include "eval/run_decoding.h"

namespace quantspec::eval {

// {machine, window, windows, targets, sealed_targets, rows[]}: the text scored with a 16-bit cache,
// with ours, and by the draft; a text shorter than a window gives {skipped}. Throws cli::Cancelled
// if `on_share` stopped it.
Json RunPerplexity(const Cell& cell, const std::string& text, Engines& engines,
                   const OnShare& on_share);

}  // namespace quantspec::eval
