#include "eval/report.h"

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>

#include "bench/scores.h"
#include "eval/method.h"
#include "eval/report_plots.h"
#include "eval/report_tables.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr uint64_t kSeed = 20;  // of the resamples

const Json* FindRun(const Json& runs, const char* method) {
  for (const Json& run : runs) {
    if (run.at("method") == method) return &run;
  }
  return nullptr;
}

std::optional<double> RatioTo(const Json* plain, const Json& run, const char* key) {
  if (plain == nullptr) return std::nullopt;
  const auto speeds = run.at(key).get<std::vector<double>>();
  const auto plain_speeds = plain->at(key).get<std::vector<double>>();
  std::vector<double> ratios;
  for (size_t i = 0; i < speeds.size() && i < plain_speeds.size(); ++i) {
    if (speeds[i] > 0 && plain_speeds[i] > 0) ratios.push_back(speeds[i] / plain_speeds[i]);
  }
  if (ratios.empty()) return std::nullopt;
  return Median(ratios);
}

Speedup SpeedupOf(const Json& runs, const Json& run, const char* key) {
  return {RatioTo(FindRun(runs, kPlainPaper), run, key),
          RatioTo(FindRun(runs, kPlainOwn), run, key),
          RatioTo(FindRun(runs, kPlainInt4), run, key)};
}

template <typename T>
std::optional<T> Maybe(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return json.get<T>();
}

Row MakeRow(const Cell& cell, const Json& result, const Json& run) {
  const Json& runs = result.at("runs");
  Row row;
  row.experiment = cell.experiment;
  row.model = cell.model.name;
  row.dataset = cell.dataset;
  row.context = cell.context;
  row.example = cell.example;
  row.method = run.at("method").get<std::string>();
  row.gamma = run.at("gamma").get<int>();
  row.weights = run.at("weights").get<std::string>();
  row.cache = run.at("cache").get<std::string>();
  const auto drafted = run.at("drafted").get<double>();
  const auto rounds = run.at("rounds").get<int64_t>();
  if (drafted > 0) row.acceptance = run.at("accepted").get<double>() / drafted;
  row.conditional =
      ConditionalAcceptance(run.at("reached_by_position").get<std::vector<int64_t>>(),
                            run.at("accepted_by_position").get<std::vector<int64_t>>());
  row.tokens = run.at("generated").get<int>();
  row.tau = TokensPerRound(row.tokens, rounds);
  row.speedup = SpeedupOf(runs, run, "tokens_per_s");
  row.speedup_90 = SpeedupOf(runs, run, "tokens_per_s_90");
  row.tokens_per_s = Median(run.at("tokens_per_s").get<std::vector<double>>());
  if (drafted > 0) {
    row.draft_ms = Median(run.at("draft_s").get<std::vector<double>>()) / drafted * 1e3;
  }
  if (rounds > 0) {
    row.verify_ms =
        Median(run.at("verify_s").get<std::vector<double>>()) / static_cast<double>(rounds) * 1e3;
  }
  row.memory = run.at("memory_bytes");
  row.memory_bytes = row.memory.at("total").get<uint64_t>();
  row.peak_rss_bytes = run.at("peak_rss_bytes").get<uint64_t>();
  row.identical = Maybe<bool>(run.at("identical"));
  row.rep4 = Maybe<double>(run.at("rep4"));
  if (result.contains("score")) row.score = Maybe<double>(result["score"]);
  return row;
}

using Rows = std::vector<const Row*>;

std::vector<double> Collect(const Rows& rows,
                            const std::function<std::optional<double>(const Row&)>& value) {
  std::vector<double> values;
  for (const Row* row : rows) {
    if (const std::optional<double> found = value(*row)) values.push_back(*found);
  }
  return values;
}

void SummarizeSpeed(const Rows& rows, std::optional<double> Speedup::*which, Summary* summary,
                    std::optional<Interval>* interval) {
  const auto ratios = Collect(rows, [&](const Row& row) { return row.speedup.*which; });
  const auto early = Collect(rows, [&](const Row& row) { return row.speedup_90.*which; });
  if (!ratios.empty()) {
    summary->speedup.*which = GeometricMean(ratios);
    *interval = BootstrapInterval(ratios, Average::kGeometric, kSeed);
  }
  if (!early.empty()) summary->speedup_90.*which = GeometricMean(early);
}

// The gamma that occurs most often; of equals the smallest.
int Mode(const Rows& rows) {
  std::map<int, int> counts;
  for (const Row* row : rows) ++counts[row->gamma];
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

Summary SummarizeRows(const Rows& rows, Texts texts) {
  const Row& first = *rows.front();
  Summary summary;
  summary.experiment = first.experiment;
  summary.model = first.model;
  summary.method = first.method;
  if (texts == Texts::kApart) summary.dataset = first.dataset;
  summary.context = first.context;
  summary.gamma = Mode(rows);
  summary.n = static_cast<int>(rows.size());
  for (const Row* row : rows) {
    summary.gammas.push_back(row->gamma);
    summary.memory_bytes = std::max(summary.memory_bytes, row->memory_bytes);
    summary.peak_rss_bytes = std::max(summary.peak_rss_bytes, row->peak_rss_bytes);
  }
  std::sort(summary.gammas.begin(), summary.gammas.end());
  summary.gammas.erase(std::unique(summary.gammas.begin(), summary.gammas.end()),
                       summary.gammas.end());
  const auto acceptance = Collect(rows, [](const Row& row) { return row.acceptance; });
  if (!acceptance.empty()) {
    summary.acceptance = Mean(acceptance);
    summary.acceptance_ci95 = BootstrapInterval(acceptance, Average::kMean, kSeed);
  }
  summary.tau = Mean(Collect(rows, [](const Row& row) { return row.tau; }));
  summary.rep4 = Mean(Collect(rows, [](const Row& row) { return row.rep4; }));
  const auto speeds = Collect(rows, [](const Row& row) {
    return row.tokens_per_s > 0 ? std::optional<double>(row.tokens_per_s) : std::nullopt;
  });
  summary.tokens_per_s = GeometricMean(speeds);
  SummarizeSpeed(rows, &Speedup::bf16, &summary, &summary.bf16_ci95);
  SummarizeSpeed(rows, &Speedup::own, &summary, &summary.own_ci95);
  SummarizeSpeed(rows, &Speedup::int4, &summary, &summary.int4_ci95);
  return summary;
}

// Rows that agree in `key`, groups in the order in which they first occur.
template <typename Key>
std::vector<Rows> GroupBy(const std::vector<Row>& rows, Key key) {
  std::map<decltype(key(rows.front())), size_t> places;
  std::vector<Rows> groups;
  for (const Row& row : rows) {
    const auto [place, is_new] = places.try_emplace(key(row), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(&row);
  }
  return groups;
}

// What a gamma is judged by; 0 where nothing was timed.
double Merit(const Row& row) {
  return row.speedup.bf16.value_or(row.speedup.own.value_or(row.tokens_per_s));
}

int FastestGamma(const Rows& rows) {
  std::map<int, std::vector<double>> merits;
  for (const Row* row : rows) {
    if (Merit(*row) > 0) merits[row->gamma].push_back(Merit(*row));
  }
  int best = rows.front()->gamma;
  double most = 0;
  for (const auto& [gamma, values] : merits) {
    const double mean = GeometricMean(values);
    if (mean > most) {
      most = mean;
      best = gamma;
    }
  }
  return best;
}

// For each half of the examples, the rows with the gamma that was fastest on the other half. Each
// half has every other example of every text, so that neither is of some texts only.
Summary ChooseGamma(const Rows& rows) {
  std::map<std::string, std::map<int, size_t>> places;  // of the examples of a text, in order
  for (const Row* row : rows) places[row->dataset].try_emplace(row->example, 0);
  size_t text = 0;
  for (auto& [dataset, examples] : places) {
    // Texts with a single example fall into both halves, too.
    size_t place = text++;
    for (auto& [example, at] : examples) at = place++;
  }
  const auto half = [&](const Row& row) { return places.at(row.dataset).at(row.example) % 2; };
  Rows picked;
  bool is_held_out = true;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    Rows these, others;
    for (const Row* row : rows) (half(*row) == side ? these : others).push_back(row);
    if (these.empty()) continue;
    const bool has_choice = std::any_of(these.begin(), these.end(), [&](const Row* row) {
      return row->gamma != these.front()->gamma;
    });
    if (others.empty() && has_choice) is_held_out = false;
    const int gamma = FastestGamma(others.empty() ? these : others);
    for (const Row* row : these) {
      if (row->gamma == gamma) picked.push_back(row);
    }
  }
  if (picked.empty()) picked = rows;
  Summary summary = SummarizeRows(picked, Texts::kTogether);
  summary.is_held_out = is_held_out;
  return summary;
}

}  // namespace

std::vector<Summary> Summarize(const std::vector<Row>& rows, Texts texts) {
  const auto groups = GroupBy(rows, [&](const Row& row) {
    return std::make_tuple(row.experiment, row.model, row.context, row.method, row.gamma,
                           texts == Texts::kApart ? row.dataset : "");
  });
  std::vector<Summary> summaries;
  for (const Rows& group : groups) summaries.push_back(SummarizeRows(group, texts));
  return summaries;
}

Report MakeReport(const CellStore& store) {
  const std::vector<Cell> plan = store.ReadPlan();
  std::vector<DoneCell> done;
  for (const Cell& cell : plan) {
    if (std::optional<Json> result = store.Read(cell, nullptr)) {
      done.push_back({cell, std::move(*result)});
    }
  }
  try {
    return MakeReport(plan, std::move(done));
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorrupt, store.folder() + "/cells: a cell lacks what a report needs (" +
                                         error.what() + "); remove the folder and run again");
  }
}

Report MakeReport(const std::vector<Cell>& plan, std::vector<DoneCell> done) {
  Report report;
  report.planned = static_cast<int>(plan.size());
  report.cells = std::move(done);
  for (const auto& [cell, result] : report.cells) {
    if (result.contains("skipped")) {
      report.skipped.push_back(CellTitle(cell) + ": " + result["skipped"].get<std::string>());
    } else if (result.contains("runs")) {
      for (const Json& run : result["runs"]) report.rows.push_back(MakeRow(cell, result, run));
    }
  }
  report.summary = Summarize(report.rows, Texts::kTogether);
  const auto groups = GroupBy(report.rows, [](const Row& row) {
    return std::make_tuple(row.experiment, row.model, row.context, row.method);
  });
  for (const Rows& group : groups) report.chosen.push_back(ChooseGamma(group));
  return report;
}

void WriteReport(const CellStore& store, const Report& report) {
  for (const Plot& plot : MakePlots(report)) {
    WriteWhole(store.folder() + "/" + plot.file, plot.svg);
  }
  WriteWhole(store.folder() + "/report.md", ReportText(report));
  WriteWhole(store.folder() + "/report.json", Dump(ReportJson(report), 1) + "\n");
}

}  // namespace quantspec::eval
