// Computes one cell, whatever its experiment.
#pragma once

#include "eval/cell.h"
#include "eval/engines.h"
#include "eval/run_decoding.h"
#include "eval/text_shelf.h"

namespace quantspec::eval {

// What the cell's file is to hold; {skipped, kind} where no text is long enough. Throws Error, and
// cli::Cancelled if `on_share` stopped it.
Json RunCell(const Cell& cell, Engines& engines, TextShelf& texts, const OnShare& on_share);

}  // namespace quantspec::eval
