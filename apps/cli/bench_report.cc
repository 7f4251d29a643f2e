#include "cli/bench_report.h"

#include <algorithm>
#include <iterator>

#include "bench/scores.h"
#include "cli/arguments.h"
#include "cli/common.h"
#include "cli/draft_options.h"
#include "cli/json.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

// A right-aligned column of the table.
struct Cell {
  const char* head;
  size_t width;
  std::string text;
};

std::string Share(double value) {
  return std::to_string(static_cast<int>(value * 100 + 0.5)) + " %";
}

std::vector<Cell> Cells(const BenchSetting& setting, const BenchLine& line) {
  const std::vector<double>& rates = line.decode_tokens_per_s;
  const std::vector<double>& prefill = line.prefill_tokens_per_s;
  return {{"depth", 8, std::to_string(line.depth)},
          {"gamma", 7, GammaText(line.gamma)},
          {"tokens/s", 10, ShowNumber(Median(rates))},
          {"min", 9, ShowNumber(*std::min_element(rates.begin(), rates.end()))},
          {"max", 9, ShowNumber(*std::max_element(rates.begin(), rates.end()))},
          {"prefill/s", 11, prefill.empty() ? "-" : ShowNumber(Median(prefill))},
          {"accepted", 10, line.acceptance ? Share(*line.acceptance) : "-"},
          {"draft ms", 10, line.draft_ms ? ShowNumber(*line.draft_ms) : "-"},
          {"verify ms", 11, ShowNumber(line.verify_ms)},
          {"MB/token", 10, ShowNumber(line.bytes_per_token / 1e6)},
          {"of bandwidth", 14, Share(BandwidthFraction(setting, line))}};
}

std::string Padded(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

}  // namespace

double BandwidthFraction(const BenchSetting& setting, const BenchLine& line) {
  return line.bytes_per_token * Median(line.decode_tokens_per_s) / 1e9 /
         setting.read_bandwidth_gb_per_s;
}

void PrintBenchHead(const BenchSetting& setting) {
  BenchLine sample;
  sample.decode_tokens_per_s = {0};
  std::string head;
  for (const Cell& cell : Cells(setting, sample)) head += Padded(cell.head, cell.width);
  Print("read bandwidth " + ShowNumber(setting.read_bandwidth_gb_per_s) + " GB/s, " + setting.isa +
        ", " + std::to_string(setting.threads) + " threads, weights " + setting.weights +
        ", cache " + setting.cache + ", draft_exact_layers " +
        std::to_string(setting.draft_exact_layers) + ", draft " + DraftName(setting.draft) +
        ", draft_context " + DraftBudgetText(setting.draft) + ", acceptance " +
        std::string(setting.acceptance_is) + "\n" + head + "\n");
}

void PrintBenchRow(const BenchSetting& setting, const BenchLine& line) {
  std::string row;
  for (const Cell& cell : Cells(setting, line)) row += Padded(cell.text, cell.width);
  if (line.sequences > 0) {
    row += "  " + std::to_string(line.sequences) + " sequences, " +
           ShowNumber(Median(line.total_tokens_per_s)) + " tokens/s together, " +
           (line.identical ? "identical to each alone" : "NOT IDENTICAL to each alone");
  }
  Print(row + "\n");
}

void PrintBenchJson(const BenchSetting& setting, const BenchLine& line) {
  const std::vector<double>& rates = line.decode_tokens_per_s;
  const std::vector<double>& prefill = line.prefill_tokens_per_s;
  Json json;
  json["depth"] = line.depth;
  json["cache"] = setting.cache;
  json["weights"] = setting.weights;
  json["draft_exact_layers"] = setting.draft_exact_layers;
  json["draft"] = DraftName(setting.draft);
  json["draft_context"] = DraftBudgetJson(setting.draft);
  json["gamma"] = GammaJson(line.gamma);
  json["mean_gamma"] = line.mean_gamma;
  json["decode_tokens_per_s"] = {{"min", *std::min_element(rates.begin(), rates.end())},
                                 {"median", Median(rates)},
                                 {"max", *std::max_element(rates.begin(), rates.end())}};
  json["prefill_tokens_per_s"] = prefill.empty() ? Json() : Json(Median(prefill));
  json["acceptance"] = line.acceptance ? Json(*line.acceptance) : Json();
  json["acceptance_is"] = setting.acceptance_is;
  json["draft_ms"] = line.draft_ms ? Json(*line.draft_ms) : Json();
  json["verify_ms"] = line.verify_ms;
  json["bytes_per_token"] = line.bytes_per_token;
  json["read_bandwidth_gb_per_s"] = setting.read_bandwidth_gb_per_s;
  json["bandwidth_fraction"] = BandwidthFraction(setting, line);
  if (line.sequences > 0) {
    const std::vector<double>& totals = line.total_tokens_per_s;
    json["sequences"] = line.sequences;
    json["total_tokens_per_s"] = {{"min", *std::min_element(totals.begin(), totals.end())},
                                  {"median", Median(totals)},
                                  {"max", *std::max_element(totals.begin(), totals.end())}};
    json["identical"] = line.identical;
  }
  json["isa"] = setting.isa;
  json["threads"] = setting.threads;
  PrintJson(json);
}

}  // namespace quantspec::cli
