#include "eval/report_plots.h"

#include <algorithm>

#include "eval/method.h"
#include "eval/svg.h"

namespace quantspec::eval {
namespace {

ChartLine& LineOf(const std::string& name, Chart* chart) {
  for (ChartLine& line : chart->lines) {
    if (line.name == name) return line;
  }
  chart->lines.push_back({name, {}});
  return chart->lines.back();
}

// The ends of the bar of a point; without an interval, of no length.
double LowOf(const std::optional<Interval>& interval, double value) {
  return interval ? interval->low : value;
}
double HighOf(const std::optional<Interval>& interval, double value) {
  return interval ? interval->high : value;
}

void SortPoints(Chart* chart) {
  for (ChartLine& line : chart->lines) {
    std::sort(line.points.begin(), line.points.end(),
              [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
  }
}

// Speedups over plain decoding with 16 bits, by context.
Chart SpeedChart(const Report& report, const std::string& experiment, const std::string& title) {
  Chart chart;
  chart.title = title;
  chart.x_label = "tokens of the prompt";
  chart.y_label = "times plain decoding with 16 bits";
  chart.x_scale = Scale::kLogarithmic;
  chart.baseline = 1;
  std::string model;
  for (const Summary& summary : report.chosen) {
    if (summary.experiment != experiment || !summary.speedup.bf16) continue;
    if (FindMethod(summary.method).kind == MethodKind::kPlain &&
        FindMethod(summary.method).target == Target::kPaper) {
      continue;  // the denominator itself
    }
    model = model.empty() ? summary.model : model;
    if (summary.model != model) continue;
    LineOf(FindMethod(summary.method).label, &chart)
        .points.push_back({static_cast<double>(summary.context), *summary.speedup.bf16,
                           LowOf(summary.bf16_ci95, *summary.speedup.bf16),
                           HighOf(summary.bf16_ci95, *summary.speedup.bf16)});
  }
  SortPoints(&chart);
  return chart;
}

Chart AcceptanceChart(const Report& report, const std::string& experiment) {
  Chart chart;
  chart.title = "Acceptance over gamma";
  chart.x_label = "gamma, tokens drafted a round";
  chart.y_label = "accepted of drafted";
  for (const Summary& summary : report.summary) {
    if (summary.experiment != experiment || !summary.acceptance) continue;
    const std::string name =
        FindMethod(summary.method).label + ", " + std::to_string(summary.context);
    LineOf(name, &chart)
        .points.push_back({static_cast<double>(summary.gamma), *summary.acceptance,
                           LowOf(summary.acceptance_ci95, *summary.acceptance),
                           HighOf(summary.acceptance_ci95, *summary.acceptance)});
  }
  SortPoints(&chart);
  return chart;
}

}  // namespace

std::vector<Plot> MakePlots(const Report& report) {
  const std::pair<const char*, Chart> charts[] = {
      {"speedup.svg", SpeedChart(report, "table4", "Speed by context")},
      {"ablation.svg", SpeedChart(report, "fig5", "What the 4-bit parts of the draft give")},
      {"acceptance.svg", AcceptanceChart(report, "fig9")}};
  std::vector<Plot> plots;
  for (const auto& [file, chart] : charts) {
    if (!chart.lines.empty()) plots.push_back({file, chart.title, RenderSvg(chart)});
  }
  return plots;
}

}  // namespace quantspec::eval
