#include "cli/bench_ops.h"

#include <cstdio>

#include "cli/bandwidth.h"
#include "cli/json.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

constexpr int kRows[] = {1, 5, 17};  // plain decoding, and verification of gamma 4 and 16

}  // namespace

void BenchOps(const Engine& engine, const ModelOptions& options, std::span<const int> depths,
              int repeat) {
  const double bandwidth_gb_per_s = MeasureReadBandwidth(engine.threads());
  if (!options.json) {
    Print(
        "read bandwidth " + ShowNumber(bandwidth_gb_per_s) + " GB/s, " + std::string(engine.isa()) +
        ", " + std::to_string(engine.threads()) + " threads\n" +
        "op                          rows    depth         us      GB/s     Gop/s  of bandwidth\n");
  }
  for (const OpTiming& op : TimeOps(engine, kRows, depths, repeat)) {
    const double gb_per_s = static_cast<double>(op.bytes) / op.us / 1e3;
    const double gop_per_s = op.operations / op.us / 1e3;
    const double fraction = gb_per_s / bandwidth_gb_per_s;
    if (options.json) {
      PrintJson({{"op", op.op},
                 {"rows", op.rows},
                 {"depth", op.depth},
                 {"us", op.us},
                 {"gb_per_s", gb_per_s},
                 {"gop_per_s", gop_per_s},
                 {"bandwidth_fraction", fraction},
                 {"read_bandwidth_gb_per_s", bandwidth_gb_per_s},
                 {"isa", engine.isa()},
                 {"threads", engine.threads()}});
      continue;
    }
    char line[160];
    std::snprintf(line, sizeof(line), "%-26s %5d %8d %10.1f %9.2f %9.1f %12.0f %%\n", op.op.c_str(),
                  op.rows, op.depth, op.us, gb_per_s, gop_per_s, fraction * 100);
    Print(line);
  }
}

}  // namespace quantspec::cli
