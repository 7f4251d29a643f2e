// How long single operations take with the shapes and formats of a model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "quantspec/engine.h"

namespace quantspec {

// One operation of a backend at a model's shapes, timed over synthetic data.
struct OpTiming {
  std::string op;         // e.g. "matmul ffn_down target", "attend draft", "peak int8"
  int rows = 0;           // of the pass
  int depth = 0;          // tokens attended over; 0 where that plays no part
  double us = 0;          // median time of one call
  uint64_t bytes = 0;     // that it must read: weights or cache
  double operations = 0;  // additions and multiplications
  // The op, among those timed with it, that bounds its operations a second; empty: none. Peaks are
  // multiply-adds from registers: "peak int4" by codes of one plane, "peak int8" by those of both.
  std::string peak;
};

// Times every operation of `engine`'s backend at the model's shapes, over data of its own, with
// cold weights: first what its arithmetic can do from registers (depth and rows 0), then linear
// layers for each of `rows` (1 to 128), attention also for each of `depths`; the median of
// `repeat` runs. Takes seconds and the memory of a few layers.
std::vector<OpTiming> TimeOps(const Engine& engine, std::span<const int> rows,
                              std::span<const int> depths, int repeat);
// Only attention, of one row: "attend full" over a dense 16-bit cache, "attend target" over both
// planes, "attend upper" over the upper plane of all groups, "attend draft" over the groups that
// the default draft chooses.
std::vector<OpTiming> TimeAttention(const Engine& engine, std::span<const int> depths, int repeat);

}  // namespace quantspec
