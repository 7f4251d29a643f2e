// Computes the cells that are missing in a folder, one after the other.
#pragma once

#include <functional>
#include <vector>

#include "eval/cell_store.h"
#include "eval/run_decoding.h"

namespace quantspec::eval {

// The result of a cell. Throws Error, and cli::Cancelled if `on_share` stopped it.
using ComputeCell = std::function<Json(const Cell& cell, const OnShare& on_share)>;

// The result of `compute`, or {skipped, kind} for a cell that this machine or model cannot run
// (kMemory, kUsage). Where memory is short and `shrink` has freed some, `compute` gets another
// chance. Throws what else `compute` throws: a fault of the program or of files must be seen.
Json OrSkipped(const std::function<Json()>& compute, const std::function<bool()>& shrink);

struct RunnerOptions {
  double budget_s = 0;  // after which no cell is begun; 0: none
  bool quiet = false;
};

// Writes each result as soon as it is there; finished cells are left alone, damaged ones noted and
// computed again. False if the budget ended first. Throws what `compute` throws, cli::Cancelled
// after Ctrl-C.
bool RunCells(const std::vector<Cell>& cells, const CellStore& store, const RunnerOptions& options,
              const ComputeCell& compute);

}  // namespace quantspec::eval
