#include "eval/run_kernels.h"

#include "bench/read_bandwidth.h"
#include "bench/time_ops.h"
#include "eval/engines.h"

namespace quantspec::eval {
namespace {

struct Kernel {
  const char* op;  // of TimeAttention
  const char* name;
};
constexpr Kernel kKernels[] = {{"attend full", "16 bits, dense"},
                               {"attend target", "8 bits, both planes (target)"},
                               {"attend upper", "4 bits, upper plane (draft, as in the paper)"},
                               {"attend draft", "4 bits, a quarter of the groups (our draft)"}};

}  // namespace

Json RunKernels(const Cell& cell, const Engine& engine) {
  const double bandwidth_gb_per_s = MeasureReadBandwidth(engine.threads());
  const int depth = cell.context;
  const std::vector<OpTiming> timings = TimeAttention(engine, {&depth, 1}, cell.turns);
  double dense_us = 0;
  Json rows = Json::array();
  for (const Kernel& kernel : kKernels) {
    for (const OpTiming& op : timings) {
      if (op.op != kernel.op) continue;
      if (dense_us == 0) dense_us = op.us;
      const double gb_per_s = static_cast<double>(op.bytes) / op.us / 1e3;
      rows.push_back({{"kernel", kernel.name},
                      {"ms", op.us / 1e3},
                      {"over 16 bits", dense_us / op.us},
                      {"bytes", op.bytes},
                      {"GB/s", gb_per_s},
                      {"of bandwidth", gb_per_s / bandwidth_gb_per_s}});
    }
  }
  return {{"machine", MachineJson(engine)}, {"rows", rows}};
}

}  // namespace quantspec::eval
