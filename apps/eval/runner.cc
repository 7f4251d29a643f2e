#include "eval/runner.h"

#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

// A cell is begun if it is expected to end before so many budgets are over.
constexpr double kBudgetSlack = 1.1;

class Clock {
 public:
  double Seconds() const {
    const std::chrono::duration<double> s = std::chrono::steady_clock::now() - start_;
    return s.count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

Json OrSkipped(const std::function<Json()>& compute, const std::function<bool()>& shrink) {
  for (;;) {
    try {
      return compute();
    } catch (const Error& error) {
      const bool is_memory = error.kind() == ErrorKind::kMemory;
      if (is_memory && shrink()) continue;
      if (!is_memory && error.kind() != ErrorKind::kUsage) throw;
      return {{"skipped", (is_memory ? "out of memory: " : "") + std::string(error.what())},
              {"kind", is_memory ? "memory" : "usage"}};
    }
  }
}

bool RunCells(const std::vector<Cell>& cells, const CellStore& store, const RunnerOptions& options,
              const ComputeCell& compute) {
  using Kind = std::pair<std::string, int>;
  std::map<Kind, double> costs;  // seconds of the latest cell
  const Clock clock;
  for (size_t i = 0; i < cells.size(); ++i) {
    const Cell& cell = cells[i];
    std::string damage;
    if (store.Read(cell, &damage)) continue;
    if (!damage.empty()) cli::Say("note: " + damage + ": computed again");
    double& cost = costs[{cell.experiment, cell.context}];
    const double start = clock.Seconds();
    if (options.budget_s > 0 &&
        (start >= options.budget_s || start + cost >= kBudgetSlack * options.budget_s)) {
      return false;
    }
    const std::string title = "cell " + std::to_string(i + 1) + " of " +
                              std::to_string(cells.size()) + ", " + CellTitle(cell) + ",";
    {
      cli::ProgressLine line(title, 0, options.quiet);
      store.Write(cell, compute(cell, [&](double share) { return line.Update(share); }));
    }
    cost = clock.Seconds() - start;
    if (cli::Interrupted()) throw cli::Cancelled();
  }
  return true;
}

}  // namespace quantspec::eval
