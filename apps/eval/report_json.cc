#include "eval/report.h"

namespace quantspec::eval {
namespace {

template <typename T>
Json MaybeJson(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json SpeedupJson(const Speedup& speedup) {
  return {{"bf16", MaybeJson(speedup.bf16)},
          {"own", MaybeJson(speedup.own)},
          {"int4", MaybeJson(speedup.int4)}};
}

Json IntervalJson(const std::optional<Interval>& interval) {
  return interval ? Json{interval->low, interval->high} : Json();
}

Json RowJson(const Row& row) {
  return {{"table", row.experiment},
          {"model", row.model},
          {"dataset", row.dataset},
          {"context", row.context},
          {"example", row.example},
          {"method", row.method},
          {"gamma", row.gamma},
          {"weights", row.weights},
          {"cache", row.cache},
          {"acceptance", MaybeJson(row.acceptance)},
          {"conditional_acceptance", row.conditional},
          {"tau", row.tau},
          {"tokens", row.tokens},
          {"speedup", SpeedupJson(row.speedup)},
          {"speedup_90", SpeedupJson(row.speedup_90)},
          {"tokens_per_s", row.tokens_per_s},
          {"draft_ms", row.draft_ms},
          {"verify_ms", row.verify_ms},
          {"memory_bytes", row.memory},
          {"peak_rss_bytes", row.peak_rss_bytes},
          {"identical", MaybeJson(row.identical)},
          {"rep4", MaybeJson(row.rep4)},
          {"score", MaybeJson(row.score)}};
}

Json SummaryJson(const Summary& summary) {
  return {{"table", summary.experiment},
          {"model", summary.model},
          {"method", summary.method},
          {"context", summary.context},
          {"gamma", summary.gamma},
          {"n", summary.n},
          {"acceptance", MaybeJson(summary.acceptance)},
          {"tau", summary.tau},
          {"speedup", SpeedupJson(summary.speedup)},
          {"ci95",
           {{"acceptance", IntervalJson(summary.acceptance_ci95)},
            {"bf16", IntervalJson(summary.bf16_ci95)},
            {"own", IntervalJson(summary.own_ci95)},
            {"int4", IntervalJson(summary.int4_ci95)}}},
          {"speedup_90", SpeedupJson(summary.speedup_90)},
          {"tokens_per_s", summary.tokens_per_s},
          {"memory_total_bytes", summary.memory_bytes},
          {"peak_rss_bytes", summary.peak_rss_bytes},
          {"rep4", summary.rep4}};
}

Json ChosenJson(const Summary& summary) {
  Json json = SummaryJson(summary);
  json["gammas"] = summary.gammas;
  json["held_out"] = summary.is_held_out;
  return json;
}

// The results of the cells of one of the other tables, each with what it was computed from.
Json ResultsJson(const Report& report, const std::string& experiment) {
  Json results = Json::array();
  for (const auto& [cell, result] : report.cells) {
    if (cell.experiment != experiment || result.contains("skipped")) continue;
    Json json = {{"model", cell.model.name}};
    if (!cell.dataset.empty()) json["dataset"] = cell.dataset;
    if (cell.context > 0) json["context"] = cell.context;
    for (const auto& [key, value] : result.items()) json[key] = value;
    results.push_back(json);
  }
  return results;
}

}  // namespace

Json ReportJson(const Report& report) {
  Json cells = Json::array(), summaries = Json::array(), chosen = Json::array();
  for (const Row& row : report.rows) cells.push_back(RowJson(row));
  for (const Summary& summary : report.summary) summaries.push_back(SummaryJson(summary));
  for (const Summary& summary : report.chosen) chosen.push_back(ChosenJson(summary));
  return {{"planned", report.planned},
          {"done", report.cells.size()},
          {"cells", cells},
          {"summary", summaries},
          {"chosen", chosen},
          {"table2", ResultsJson(report, "table2")},
          {"table3", ResultsJson(report, "table3")},
          {"table5", ResultsJson(report, "table5")},
          {"skipped", report.skipped}};
}

}  // namespace quantspec::eval
