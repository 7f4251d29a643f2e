#include "eval/report_tables.h"

#include <algorithm>
#include <set>

#include "eval/markdown.h"
#include "eval/method.h"
#include "eval/paper_values.h"
#include "eval/report_plots.h"
#include "quantspec/engine.h"

namespace quantspec::eval {
namespace {

constexpr double kMuchRepeated = 0.3;  // share of repeated 4-grams that flatters every draft

std::vector<Summary> Of(const std::vector<Summary>& summaries, const std::string& experiment) {
  std::vector<Summary> found;
  for (const Summary& summary : summaries) {
    if (summary.experiment == experiment) found.push_back(summary);
  }
  return found;
}

std::string Label(const Summary& summary) {
  const std::string flag = summary.rep4 > kMuchRepeated ? " (*)" : "";
  return FindMethod(summary.method).label + flag;
}

std::string Acceptance(const Summary& summary) {
  if (!summary.acceptance) return "-";
  const std::string text = Percent(*summary.acceptance);
  if (!summary.acceptance_ci95) return text;
  return text + " [" + Decimals(summary.acceptance_ci95->low * 100, 1) + ", " +
         Decimals(summary.acceptance_ci95->high * 100, 1) + "]";
}

std::string GammaText(const Summary& summary) {
  if (FindMethod(summary.method).kind != MethodKind::kSpeculative) return "-";
  std::string text;
  for (const int gamma : summary.gammas) text += (text.empty() ? "" : "/") + std::to_string(gamma);
  return summary.is_held_out ? text : text + " (!)";
}

std::string Range(double low, double high, int decimals) {
  const std::string text = Decimals(low, decimals);
  return low == high ? text : text + " to " + Decimals(high, decimals);
}

// "1.35 to 1.61; 89.9 to 91.2 % (8k)".
std::string PaperBeside(std::span<const PaperMain> table, const Summary& summary) {
  const PaperRange range = NearestPaper(table, summary.method, summary.context);
  if (range.context == 0) return "";
  return Range(range.low_speedup, range.high_speedup, 2) + "; " +
         Range(range.low_acceptance, range.high_acceptance, 1) + " % (" +
         std::to_string(range.context / 1024) + "k)";
}

std::string MainTable(const Report& report, const std::string& experiment,
                      std::span<const PaperMain> paper) {
  const std::vector<Summary> chosen = Of(report.chosen, experiment);
  if (chosen.empty()) return "Not computed.\n\n";
  MarkdownTable table({"model", "context", "method", "gamma", "n", "acceptance", "tokens a verify",
                       "planned GB", "peak GB", "over 16 bits", "over own target",
                       "over 4-bit weights", "90 tokens, over 16 bits", "tokens/s",
                       "paper: speedup; acceptance"});
  for (const Summary& summary : chosen) {
    const Method& method = FindMethod(summary.method);
    const bool is_alone = method.kind == MethodKind::kDraftAlone;
    table.Add({summary.model, std::to_string(summary.context), Label(summary), GammaText(summary),
               std::to_string(summary.n), Acceptance(summary),
               is_alone ? "-" : Decimals(summary.tau, 2), Gigabytes(summary.memory_bytes),
               Gigabytes(summary.peak_rss_bytes),
               WithInterval(summary.speedup.bf16, summary.bf16_ci95),
               WithInterval(summary.speedup.own, summary.own_ci95),
               WithInterval(summary.speedup.int4, summary.int4_ci95),
               summary.speedup_90.bf16 ? Decimals(*summary.speedup_90.bf16, 2) : "-",
               Decimals(summary.tokens_per_s, 1), PaperBeside(paper, summary)});
  }
  return table.Text();
}

std::string TextsTable(const Report& report, const std::string& experiment) {
  MarkdownTable table({"model", "text", "context", "method", "gamma", "n", "acceptance",
                       "first position", "repeated 4-grams", "answers found"});
  for (const Summary& summary : Summarize(report.rows, Texts::kApart)) {
    if (summary.experiment != experiment || !summary.acceptance) continue;
    std::vector<double> first, scores;
    for (const Row& row : report.rows) {
      if (row.experiment != experiment || row.model != summary.model ||
          row.dataset != summary.dataset || row.context != summary.context ||
          row.method != summary.method || row.gamma != summary.gamma) {
        continue;
      }
      if (!row.conditional.empty()) first.push_back(row.conditional[0]);
      if (row.score) scores.push_back(*row.score);
    }
    table.Add({summary.model, summary.dataset, std::to_string(summary.context), Label(summary),
               std::to_string(summary.gamma), std::to_string(summary.n),
               Percent(*summary.acceptance), first.empty() ? "-" : Percent(Mean(first)),
               Percent(summary.rep4), scores.empty() ? "-" : Percent(Mean(scores))});
  }
  return table.Text();
}

std::string SearchTable(const Report& report, const std::string& experiment) {
  const std::vector<Summary> rows = Of(report.summary, experiment);
  if (rows.empty()) return "Not computed.\n\n";
  MarkdownTable table({"context", "method", "gamma", "n", "acceptance", "tokens a verify",
                       "tokens/s", "over 16 bits"});
  for (const Summary& summary : rows) {
    table.Add({std::to_string(summary.context), Label(summary), GammaText(summary),
               std::to_string(summary.n), Acceptance(summary), Decimals(summary.tau, 2),
               Decimals(summary.tokens_per_s, 1),
               WithInterval(summary.speedup.bf16, summary.bf16_ci95)});
  }
  return table.Text();
}

std::string Shown(const Json& value) {
  if (value.is_number_float()) return Decimals(value.get<double>(), 4);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Tables 2, 3 and 5: the rows of every cell, under the union of their keys.
std::string ResultTable(const Report& report, const std::string& experiment) {
  std::vector<std::string> head = {"model", "text"};
  std::vector<Json> rows;
  if (experiment == "table5") head = {"model", "tokens"};
  for (const auto& [cell, result] : report.cells) {
    if (cell.experiment != experiment || !result.contains("rows")) continue;
    for (const Json& row : result["rows"]) {
      Json all = {{head[0], cell.model.name}};
      all[head[1]] = experiment == "table5" ? Json(cell.context) : Json(cell.dataset);
      for (const auto& [key, value] : row.items()) {
        all[key] = value;
        if (std::find(head.begin(), head.end(), key) == head.end()) head.push_back(key);
      }
      rows.push_back(all);
    }
  }
  if (rows.empty()) return "Not computed.\n\n";
  MarkdownTable table(head);
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& key : head) cells.push_back(row.contains(key) ? Shown(row[key]) : "");
    table.Add(cells);
  }
  return table.Text();
}

std::string Machines(const Report& report) {
  std::set<std::string> machines;
  for (const auto& [cell, result] : report.cells) {
    if (!result.contains("machine")) continue;
    const Json& machine = result["machine"];
    machines.insert(Shown(machine.at("cpu")) + " (" + Shown(machine.at("isa")) + ", " +
                    Shown(machine.at("threads")) + " threads)");
  }
  return Enumerate({machines.begin(), machines.end()});
}

// What the runs had in common.
std::string Setting(const Report& report) {
  std::set<std::string> weights, temperatures, tokens, turns;
  for (const auto& [cell, result] : report.cells) {
    if (!result.contains("runs")) continue;
    weights.insert(cell.weights);
    temperatures.insert(Decimals(cell.temperature, 2));
    tokens.insert(std::to_string(cell.tokens));
    turns.insert(cell.turns == 1 ? "once" : std::to_string(cell.turns) + " times");
  }
  const auto list = [](const std::set<std::string>& all) {
    return Enumerate({all.begin(), all.end()});
  };
  if (weights.empty()) return "";
  return "- Weights " + list(weights) + ", temperature " + list(temperatures) + ", " +
         list(tokens) + " tokens a run.\n- Every run was made " + list(turns) +
         " an example, in an order that begins elsewhere each time.\n" +
         "- Every output and every cache was that of plain decoding with the same target.\n";
}

std::string Head(const Report& report) {
  std::string text = "# The paper's comparisons, measured here\n\n- quantspec " +
                     std::string(Version()) + ", " + std::to_string(report.cells.size()) + " of " +
                     std::to_string(report.planned) + " planned cells";
  text += report.cells.empty() ? ".\n" : ", on " + Machines(report) + ".\n";
  return text + Setting(report) + "\n";
}

// The first lines of a report must do for most readers; this is for the tables.
std::string HowToRead() {
  return "## How to read the tables\n\n"
         "- *n* counts examples; brackets hold 95 % intervals (bootstrap over examples), none for "
         "a single one.\n"
         "- *Acceptance* is accepted over drafted tokens, averaged over examples, as in the "
         "paper; *tokens a verify* includes the target's own token.\n"
         "- Speedups are ratios within one example and turn, medians of turns, geometric means "
         "over examples: over plain decoding with 16-bit weights and a 16-bit cache (the paper's "
         "denominator), of the method's own target, and with 4-bit weights.\n"
         "- Prompts and the first round are left out of speeds, sealing is not.\n"
         "- Of several gammas, each half of the examples of every text is reported at the gamma "
         "that was fastest on the other half; (!) marks one chosen on the same examples.\n"
         "- (*) marks more than 30 % repeated 4-grams in the output, which flatters every "
         "draft.\n"
         "- StreamingLLM and SnapKV are verified by the 16-bit target and drafted with its "
         "weights, as in the paper; with *4-bit weights* they are verified by our target.\n"
         "- *Planned GB* (10^9 bytes) is what a program with this method alone would take, *peak "
         "GB* the resident set of this one, which holds both caches.\n\n";
}

std::string PlotLine(const Report& report, const std::string& file) {
  for (const Plot& plot : MakePlots(report)) {
    if (plot.file == file) return "![" + plot.title + "](" + file + ")\n\n";
  }
  return "";
}

std::string PaperSays(const std::string& table) { return "The paper's:\n\n" + table + "\n"; }

}  // namespace

std::string ReportText(const Report& report) {
  std::string text = Head(report);
  const std::string verdict = VerdictText(report);
  if (!verdict.empty()) text += "## Does it pay?\n\n" + verdict + "\n";
  text += HowToRead();
  text += "## Table 2: perplexity with an 8-bit cache\n\n" + ResultTable(report, "table2") +
          PaperSays(PaperTable2Text()) +
          "The paper's absolute values fit no usual window of this model; its differences "
          "compare.\n\n";
  text += "## Table 3: the axis of quantization\n\n" + ResultTable(report, "table3") +
          PaperSays(PaperTable3Text());
  text += "## Table 4: speed and memory\n\n" + MainTable(report, "table4", PaperTable4()) +
          PlotLine(report, "speedup.svg") + TextsTable(report, "table4") +
          PaperSays(PaperMainText(PaperTable4()));
  text += "## Table 5: kernels of attention\n\n" + ResultTable(report, "table5") +
          PaperSays(PaperTable5Text());
  text += "## Figure 5: 4-bit cache, 4-bit weights, both\n\n" + MainTable(report, "fig5", {}) +
          PlotLine(report, "ablation.svg");
  text += "## Table 6: the search for gamma\n\n" + SearchTable(report, "table6") +
          PaperSays(PaperTable6Text());
  text += "## Table 7: other models\n\n" + MainTable(report, "table7", PaperTable7()) +
          TextsTable(report, "table7") + PaperSays(PaperMainText(PaperTable7()));
  text += "## Figure 9: acceptance over gamma\n\n" + SearchTable(report, "fig9") +
          PlotLine(report, "acceptance.svg");
  if (!report.skipped.empty()) {
    text += "## Left out\n\n";
    for (const std::string& line : report.skipped) text += "- " + line + "\n";
  }
  return text;
}

}  // namespace quantspec::eval
