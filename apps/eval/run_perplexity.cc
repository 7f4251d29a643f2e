#include "eval/run_perplexity.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "bench/axis_quality.h"
#include "bench/perplexity.h"
#include "cli/common.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

bool Scores(const Cell& cell, const char* method) {
  return std::any_of(cell.runs.begin(), cell.runs.end(),
                     [&](const RunSpec& run) { return run.method == method; });
}

// None if the text is shorter than a window.
std::optional<PerplexityText> WindowsFor(const Cell& cell, const std::string& text,
                                         const Engine& engine) {
  const auto protocol =
      cell.protocol == "llama" ? PerplexityProtocol::kLlama : PerplexityProtocol::kGptq;
  try {
    return CutWindows(engine.file().tokenizer(), text, protocol, cell.context, cell.tokens);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) throw;
    return std::nullopt;
  }
}

Json TooShort(const Cell& cell) {
  return {{"skipped", cell.dataset + " is shorter than a window of " +
                          std::to_string(cell.context) + " tokens"},
          {"kind", "text"}};
}

Json RowOf(const char* cache, const MeanSum& nll, const MeanError& base) {
  const MeanError perplexity = Perplexity(nll);
  return {{"cache", cache},
          {"perplexity", perplexity.mean},
          {"standard error", perplexity.error},
          {"difference", perplexity.mean - base.mean}};
}

}  // namespace

Json RunPerplexity(const Cell& cell, const std::string& text, Engines& engines,
                   const OnShare& on_share) {
  const Engine& engine = engines.Of(cell, Target::kOwn);
  const std::optional<PerplexityText> found = WindowsFor(cell, text, engine);
  if (!found) return TooShort(cell);
  const PerplexityText& windows = *found;
  const bool has_draft = Scores(cell, kDraftOfPaper);
  Json rows = Json::array();
  MeanError base;
  int64_t sealed_targets = 0;
  double done = 0;
  for (const Target target : {Target::kPaper, Target::kOwn}) {
    Method method;
    method.target = target;
    method.draft.kind = DraftKind::kUpper;
    SessionOptions session_options = SessionOf(cell, engine.file().info(), method);
    session_options.context = windows.window;
    // The weights are the same, so that only the cache differs.
    const std::unique_ptr<Session> session = engine.Open(session_options);
    const bool is_own = target == Target::kOwn;
    const double part = !has_draft ? 0.5 : is_own ? 0.9 : 0.1;  // of the time
    bool stopped = false;
    PerplexityOptions options;
    options.draft = is_own && has_draft;
    const PerplexityScores scores =
        ScorePerplexity(*session, windows, options, {}, [&](double share) {
          stopped = !on_share(done + share * part);
          return !stopped;
        });
    if (stopped) throw cli::Cancelled();
    done += part;
    if (!is_own) base = Perplexity(scores.target);
    rows.push_back(RowOf(is_own ? "8 bits (target)" : "16 bits", scores.target, base));
    if (options.draft) rows.push_back(RowOf("4 bits (draft, its weights too)", scores.draft, base));
    sealed_targets = scores.sealed_targets;
  }
  return {{"machine", MachineJson(engine)},
          {"protocol", cell.protocol},
          {"window", windows.window},
          {"windows", windows.windows()},
          {"targets", windows.targets()},
          {"sealed_targets", sealed_targets},
          {"rows", rows}};
}

Json RunAxes(const Cell& cell, const std::string& text, Engines& engines, const OnShare& on_share) {
  const Engine& engine = engines.Of(cell, Target::kOwn);
  const std::optional<PerplexityText> windows = WindowsFor(cell, text, engine);
  if (!windows) return TooShort(cell);
  std::vector<QuantAxes> asked;
  for (const int bits : {4, 8}) {
    for (const QuantAxis values : {QuantAxis::kToken, QuantAxis::kChannel}) {
      for (const QuantAxis keys : {QuantAxis::kToken, QuantAxis::kChannel}) {
        asked.push_back({keys, values, bits});
      }
    }
  }
  bool stopped = false;
  const AxisScores scores = ScoreAxes(engine, *windows, asked, [&](double share) {
    stopped = !on_share(share);
    return !stopped;
  });
  if (stopped) throw cli::Cancelled();
  const double floats = Perplexity(scores.floats).mean;
  Json rows = Json::array();
  const auto add = [&](const std::string& bits, const std::string& values, double by_token,
                       double by_channel) {
    Json row;
    row["bits"] = bits;
    row["values"] = values;
    row["keys by token"] = by_token;
    row["keys by channel"] = by_channel;
    rows.push_back(row);
  };
  add("floats", "-", floats, floats);
  // Two of them a row, in the order asked for.
  for (size_t i = 0; i + 1 < asked.size(); i += 2) {
    add(std::to_string(asked[i].bits),
        asked[i].values == QuantAxis::kToken ? "by token" : "by channel",
        Perplexity(scores.rounded[i]).mean, Perplexity(scores.rounded[i + 1]).mean);
  }
  return {{"machine", MachineJson(engine)},
          {"protocol", cell.protocol},
          {"window", windows->window},
          {"windows", windows->windows()},
          {"targets", windows->targets()},
          {"rounded_targets", scores.rounded_targets},
          {"rows", rows}};
}

}  // namespace quantspec::eval
