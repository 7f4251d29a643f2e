// The lines of quantspec bench, as a table or as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/types.h"

namespace quantspec::cli {

// Figures of one depth and gamma.
struct BenchLine {
  int depth = 0;
  int gamma = 0;
  double mean_gamma = 0;                     // tokens drafted a round
  std::vector<double> decode_tokens_per_s;   // of each run, at least one
  std::vector<double> prefill_tokens_per_s;  // none at depth 0
  std::optional<double> acceptance;          // nothing was drafted: none
  std::optional<double> draft_ms;            // of a draft step
  double verify_ms = 0;                      // of a target step
  double bytes_per_token = 0;
  // Of sequences that decode together; 0: a session by itself.
  int sequences = 0;
  std::vector<double> total_tokens_per_s;  // of all of them
  bool identical = false;                  // to the same sequences alone
};

// What all lines of a run have in common.
struct BenchSetting {
  std::string weights;
  std::string cache;
  int draft_exact_layers = 0;
  DraftOptions draft;
  std::string isa;
  int threads = 0;
  double read_bandwidth_gb_per_s = 0;
  std::string_view acceptance_is;  // "measured", "simulated" or "meaningless"
};

// Bytes read a second over the machine's bandwidth.
double BandwidthFraction(const BenchSetting& setting, const BenchLine& line);

void PrintBenchHead(const BenchSetting& setting);
void PrintBenchRow(const BenchSetting& setting, const BenchLine& line);
void PrintBenchJson(const BenchSetting& setting, const BenchLine& line);

}  // namespace quantspec::cli
