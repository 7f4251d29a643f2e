#include "cli/bench_ops.h"

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "bench/read_bandwidth.h"
#include "bench/time_ops.h"
#include "cli/json.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

constexpr int kRows[] = {1, 5, 17};  // plain decoding, and verification of gamma 4 and 16

double GopPerSecond(const OpTiming& op) { return op.operations / op.us / 1e3; }

// The operation's share of the arithmetic that bounds it, or nothing if nothing was measured.
std::optional<double> PeakFraction(const OpTiming& op, std::span<const OpTiming> all) {
  if (op.peak.empty()) return std::nullopt;
  for (const OpTiming& other : all) {
    if (other.op == op.peak) return GopPerSecond(op) / GopPerSecond(other);
  }
  return std::nullopt;
}

std::string Percent(double fraction) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.0f %%", fraction * 100);
  return text;
}

}  // namespace

void BenchOps(const Engine& engine, const ModelOptions& options, std::span<const int> depths,
              int repeat) {
  const double bandwidth_gb_per_s = MeasureReadBandwidth(engine.threads());
  if (!options.json) {
    Print("read bandwidth " + ShowNumber(bandwidth_gb_per_s) + " GB/s, " +
          std::string(engine.isa()) + ", " + std::to_string(engine.threads()) + " threads\n" +
          "op                          rows    depth         us      GB/s     Gop/s  of bandwidth"
          "  of peak\n");
  }
  const std::vector<OpTiming> timings = TimeOps(engine, kRows, depths, repeat);
  for (const OpTiming& op : timings) {
    const double gb_per_s = static_cast<double>(op.bytes) / op.us / 1e3;
    const double gop_per_s = GopPerSecond(op);
    const double fraction = gb_per_s / bandwidth_gb_per_s;
    const std::optional<double> peak_fraction = PeakFraction(op, timings);
    if (options.json) {
      PrintJson({{"op", op.op},
                 {"rows", op.rows},
                 {"depth", op.depth},
                 {"us", op.us},
                 {"bytes", op.bytes},
                 {"gb_per_s", gb_per_s},
                 {"gop_per_s", gop_per_s},
                 {"bandwidth_fraction", fraction},
                 {"peak_fraction", peak_fraction ? Json(*peak_fraction) : Json()},
                 {"peak", op.peak.empty() ? Json() : Json(op.peak)},
                 {"read_bandwidth_gb_per_s", bandwidth_gb_per_s},
                 {"isa", engine.isa()},
                 {"threads", engine.threads()}});
      continue;
    }
    char line[160];
    std::snprintf(line, sizeof(line), "%-26s %5d %8d %10.1f %9.2f %9.1f %13s %8s\n", op.op.c_str(),
                  op.rows, op.depth, op.us, gb_per_s, gop_per_s,
                  op.bytes > 0 ? Percent(fraction).c_str() : "-",
                  peak_fraction ? Percent(*peak_fraction).c_str() : "-");
    Print(line);
  }
}

}  // namespace quantspec::cli
