// Table 5: attention's kernels at long contexts.
#pragma once

#include "eval/cell.h"
#include "quantspec/engine.h"

namespace quantspec::eval {

// {machine, rows[]}: the time of one row over cell.context tokens in one layer, by what is read.
Json RunKernels(const Cell& cell, const Engine& engine);

}  // namespace quantspec::eval
