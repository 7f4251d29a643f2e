// quantspec bench --ops: single operations against the memory bandwidth.
#pragma once

#include <span>

#include "cli/common.h"

namespace quantspec::cli {

// Times every operation of the engine at the model's shapes, for one row and for more, attention at
// each of `depths`, and prints a table or JSON lines.
void BenchOps(const Engine& engine, const ModelOptions& options, std::span<const int> depths,
              int repeat);

}  // namespace quantspec::cli
