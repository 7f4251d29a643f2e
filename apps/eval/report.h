// What a comparison found: rows of single runs, and what they say together. Made from the files
// of cells alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/cell.h"
#include "eval/cell_store.h"
#include "eval/statistics.h"

namespace quantspec::eval {

// A cell of the plan that was computed.
struct DoneCell {
  Cell cell;
  Json result;
};

// The ratio to each denominator, in the same cell and turn, the median over turns; nothing where a
// cell has no such run.
struct Speedup {
  std::optional<double> bf16;  // plain decoding with 16-bit weights and cache: the paper's
  std::optional<double> own;   // plain decoding of the same target
  std::optional<double> int4;  // plain decoding with 4-bit weights
};

// One run of one cell.
struct Row {
  std::string experiment, model, dataset;
  int context = 0;
  int example = 0;
  std::string method;
  int gamma = 0;
  std::string weights, cache;        // of the target
  std::optional<double> acceptance;  // accepted of drafted; nothing where nothing was drafted
  std::vector<double> conditional;   // acceptance by position, given that all before were accepted
  double tau = 0;                    // tokens a verification, its own included
  int tokens = 0;
  Speedup speedup, speedup_90;  // the latter over the first 90 tokens
  double tokens_per_s = 0;
  double draft_ms = 0, verify_ms = 0;  // of a drafted token, of a verification
  uint64_t memory_bytes = 0, peak_rss_bytes = 0;
  Json memory;
  std::optional<bool> identical;
  std::optional<double> rep4;
  std::optional<double> score;  // answers found in plain output, where the set has answers
};

// Several examples of one method at one context.
struct Summary {
  std::string experiment, model, method;
  std::string dataset;  // empty: all
  int context = 0;
  int gamma = 0;            // of the only or most frequent kind
  std::vector<int> gammas;  // all that occur
  bool is_held_out = true;  // false: gamma was chosen on the examples it is reported on
  int n = 0;
  std::optional<double> acceptance;
  double tau = 0;
  Speedup speedup, speedup_90;
  // None for a single example.
  std::optional<Interval> acceptance_ci95, bf16_ci95, own_ci95, int4_ci95;
  double tokens_per_s = 0;
  uint64_t memory_bytes = 0, peak_rss_bytes = 0;
  double rep4 = 0;
};

struct Report {
  int planned = 0;
  std::vector<DoneCell> cells;  // in the plan's order
  std::vector<Row> rows;
  std::vector<Summary> summary;  // by gamma
  // With the gamma that was fastest on the other half of the examples; a method with a single gamma
  // has that one.
  std::vector<Summary> chosen;
  std::vector<std::string> skipped;  // cells that could not run, with the reason
};

// Throws Error as CellStore::ReadPlan does. Damaged cells count as missing.
Report MakeReport(const CellStore& store);
Report MakeReport(const std::vector<Cell>& plan, std::vector<DoneCell> done);

// {planned, done, cells[], summary[], chosen[], table2[], table3[], table5[], skipped[]}.
Json ReportJson(const Report& report);
// Writes report.json, report.md and the plots beside the cells.
void WriteReport(const CellStore& store, const Report& report);

// Rows joined over examples, by method, context and gamma; by text too if asked.
enum class Texts { kTogether, kApart };
std::vector<Summary> Summarize(const std::vector<Row>& rows, Texts texts);

}  // namespace quantspec::eval
