// Tables 2 and 3: perplexity with the caches that are compared.
#pragma once

#include <string>

#include "eval/cell.h"
#include "eval/engines.h"
#include "eval/run_decoding.h"

namespace quantspec::eval {

// Table 2: {machine, window, windows, targets, sealed_targets, rows[]}: the text scored with a
// 16-bit cache, with ours, and by the draft; a text shorter than a window gives {skipped}. Throws
// cli::Cancelled if `on_share` stopped it.
Json RunPerplexity(const Cell& cell, const std::string& text, Engines& engines,
                   const OnShare& on_share);

// Table 3: {machine, window, windows, targets, rounded_targets, rows[]}: the text scored over a
// cache of floats, and with its older groups rounded by token or by channel.
Json RunAxes(const Cell& cell, const std::string& text, Engines& engines, const OnShare& on_share);

}  // namespace quantspec::eval
