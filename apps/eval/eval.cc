#include "eval/eval.h"

#include <algorithm>

#include "cli/output.h"
#include "eval/method.h"
#include "eval/plan.h"
#include "eval/report.h"
#include "eval/report_tables.h"
#include "eval/run_cell.h"
#include "eval/runner.h"

namespace quantspec::eval {
namespace {

constexpr int kSmokeBudget_s = 600;
struct Options {
  std::vector<std::string> experiments, models;
  PlanOptions plan;
  EngineSettings engine;
  std::string out = "quantspec-eval";
  int budget_s = -1;  // -1: the profile's, 0: none
  int shard = 1, shards = 1;
  std::string cell;
  bool only_plan = false, only_report = false, json = false;

  // A part of the plan: the report is for whoever has all parts.
  bool is_part() const { return !cell.empty() || shards > 1; }
};

// What perplexity is usually given for.
bool IsCorpus(const std::string& name) {
  return name.rfind("wikitext", 0) == 0 || name.rfind("c4", 0) == 0;
}

// Corpora are for perplexity, all other sets for prompts; without a corpus the first two texts are
// scored. The needles take time that the smoke profile lacks, unless they are asked for.
void ChooseDatasets(const std::vector<std::string>& known, PlanOptions* plan) {
  std::vector<std::string> chosen = plan->datasets;
  if (chosen.empty()) {
    chosen = known;
    if (plan->profile == Profile::kSmoke && plan->data == kBuiltinData) {
      std::erase(chosen, kNeedles);
    }
  }
  plan->datasets.clear();
  for (const std::string& name : chosen) {
    (IsCorpus(name) ? plan->perplexity_datasets : plan->datasets).push_back(name);
  }
  if (!plan->perplexity_datasets.empty()) return;
  plan->perplexity_datasets = plan->datasets;
  if (plan->perplexity_datasets.size() > 2) plan->perplexity_datasets.resize(2);
}

// The plan of these options; opens the models' files, but loads none.
std::vector<Cell> PlanOf(const Options& options) {
  if (options.models.empty()) throw cli::UsageError("--model: missing, expected a model's path");
  PlanOptions plan = options.plan;
  plan.group = options.engine.group;
  plan.experiments = options.experiments;
  for (const std::string& name : options.experiments) {
    if (name == "all") plan.experiments = Experiments();
  }
  if (plan.experiments.empty()) plan.experiments = Experiments();
  for (const std::string& path : options.models) {
    EngineOptions engine;
    engine.model_path = path;
    plan.model_contexts.push_back(cli::OpenModel(engine, /*quiet=*/true)->info().context);
    plan.models.push_back(IdentifyModel(path));
  }
  const std::vector<std::string> known = DatasetNames(plan.data);
  for (const std::string& name : plan.datasets) cli::ParseChoice("--datasets", name, known);
  ChooseDatasets(known, &plan);
  for (const auto* names : {&plan.datasets, &plan.perplexity_datasets}) {
    for (const std::string& name : *names) {
      if (!plan.data_hashes.contains(name)) {
        plan.data_hashes[name] = HashDataset(plan.data, name);
      }
    }
  }
  std::vector<std::string> notes;
  std::vector<Cell> cells = MakePlan(plan, &notes);
  for (const std::string& note : notes) {
    if (!options.engine.quiet) cli::Say("note: " + note);
  }
  return cells;
}

// The cells that this process is to see to.
std::vector<Cell> PartOf(const Options& options, const std::vector<Cell>& plan) {
  if (!options.cell.empty()) return {FindCell(plan, options.cell)};
  return Shard(plan, options.shard, options.shards);
}

int LargestRoom(const std::vector<Cell>& cells) {
  int largest = 1;
  for (const Cell& cell : cells) largest = std::max(largest, NeededRoom(cell));
  return largest;
}

// Computes what is missing; false if the budget ended first.
bool Compute(const Options& options, const std::vector<Cell>& cells, const CellStore& store) {
  Engines engines(options.engine, LargestRoom(cells));
  TextShelf texts(options.plan.data);
  RunnerOptions runner;
  runner.quiet = options.engine.quiet;
  if (options.cell.empty()) {
    runner.budget_s = options.budget_s >= 0                     ? options.budget_s
                      : options.plan.profile == Profile::kSmoke ? kSmokeBudget_s
                                                                : 0;
  }
  return RunCells(cells, store, runner, [&](const Cell& cell, const OnShare& on_share) {
    return OrSkipped([&] { return RunCell(cell, engines, texts, on_share); },
                     [&] { return engines.ShrinkTo(NeededRoom(cell)); });
  });
}

void ShowReport(const Options& options, const CellStore& store) {
  const Report report = MakeReport(store);
  WriteReport(store, report);
  if (options.json) {
    const Json json = ReportJson(report);
    cli::PrintJson({{"out", store.folder()},
                    {"planned", json["planned"]},
                    {"done", json["done"]},
                    {"summary", json["summary"]},
                    {"chosen", json["chosen"]}});
    return;
  }
  cli::Print(VerdictText(report) + std::to_string(report.cells.size()) + " of " +
             std::to_string(report.planned) + " cells, report in " + store.folder() +
             "/report.md\n");
}

void ShowPlan(const Options& options, const std::vector<Cell>& cells) {
  if (options.json) {
    Json list = Json::array();
    for (const Cell& cell : cells) list.push_back(CellJson(cell));
    cli::PrintJson({{"cells", list}});
    return;
  }
  std::string ids;
  for (const Cell& cell : cells) ids += CellId(cell) + "\n";
  cli::Print(ids);
}

// Of a process that saw to a part of the plan.
void ShowPart(const Options& options, const std::vector<Cell>& cells, const CellStore& store) {
  if (options.json) {
    Json ids = Json::array();
    int done = 0;
    for (const Cell& cell : cells) {
      ids.push_back(CellId(cell));
      done += store.Read(cell, nullptr) ? 1 : 0;
    }
    cli::PrintJson(
        {{"out", store.folder()}, {"planned", cells.size()}, {"done", done}, {"cells", ids}});
  } else if (!options.engine.quiet) {
    cli::Say("this part is done; quantspec eval --report --out " + options.out +
             " makes the report of all");
  }
}

int Run(const Options& options) {
  if (options.only_report) {
    ShowReport(options, CellStore(options.out, OpenStore::kToRead));
    return cli::kExitDone;
  }
  const std::vector<Cell> plan = PlanOf(options);
  const std::vector<Cell> cells = PartOf(options, plan);
  if (options.only_plan) {
    ShowPlan(options, cells);
    return cli::kExitDone;
  }
  const CellStore store(options.out);
  store.WritePlan(plan);
  const bool is_complete = Compute(options, cells, store);
  if (!is_complete && !options.engine.quiet) {
    cli::Say("note: the budget is used up; the same command goes on where this one ended");
  }
  if (options.is_part()) {
    ShowPart(options, cells, store);
  } else {
    ShowReport(options, store);
  }
  return cli::kExitDone;
}

void ReadShard(const std::string& text, Options* options) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) {
    throw cli::UsageError("--shard: found '" + text + "', expected I/N, e.g. 2/8");
  }
  options->shards =
      static_cast<int>(cli::ParseInteger("--shard", text.substr(slash + 1), 1, 1 << 20));
  options->shard =
      static_cast<int>(cli::ParseInteger("--shard", text.substr(0, slash), 1, options->shards));
}

void AddIntegers(CLI::App& app, const std::string& name, std::vector<int>& values, int low,
                 int high, const std::string& help) {
  cli::AddValue(
      app, name, "N,N,...",
      [=, &values](const std::string& text) {
        values.clear();
        for (const std::string& part : cli::SplitList(name, text)) {
          values.push_back(static_cast<int>(cli::ParseInteger(name, part, low, high)));
        }
      },
      help);
}

void AddNames(CLI::App& app, const std::string& name, std::vector<std::string>& values,
              const std::string& help) {
  cli::AddValue(
      app, name, "NAME,NAME,...",
      [=, &values](const std::string& text) { values = cli::SplitList(name, text); }, help);
}

void AddPlanOptions(CLI::App& app, Options& options) {
  PlanOptions& plan = options.plan;
  cli::AddChoice<Profile>(app, "--profile", plan.profile,
                          {{"smoke", Profile::kSmoke}, {"paper", Profile::kPaper}},
                          "how much is measured: ten minutes of a small model, or the paper's "
                          "contexts, texts and gammas (default: smoke)");
  cli::AddText(app, "--data", plan.data,
               "builtin, or a folder with the files of the data sets (default: builtin)");
  AddNames(app, "--datasets", plan.datasets, "only these sets (default: all that are there)");
  AddIntegers(app, "--contexts", plan.contexts, 1, cli::kMaxContext,
              "tokens of the prompts (default: the profile's)");
  cli::AddValue(
      app, "--methods", "NAME,NAME,...",
      [&plan](const std::string& text) {
        plan.methods = cli::SplitList("--methods", text);
        for (const std::string& name : plan.methods) {
          cli::ParseChoice("--methods", name, MethodNames());
        }
      },
      "only these, and plain decoding to compare with (default: the experiment's)");
  AddIntegers(app, "--gammas", plan.gammas, 1, kMaxGamma,
              "tokens drafted a round; of several the fastest is chosen on held-out examples "
              "(default: the profile's)");
  cli::AddInteger(app, "--tokens", plan.tokens, 4, cli::kMaxContext,
                  "tokens generated by each run (default: the profile's, 128 or 256)");
  cli::AddInteger(app, "--examples", plan.examples, 1, 100000,
                  "examples of each set (default: the profile's, 2 or 10)");
  cli::AddInteger(app, "--turns", plan.turns, 1, 1000,
                  "times that each run is repeated (default: the profile's, 1 or 3)");
  cli::AddNumber(app, "--temperature", plan.temperature, 0, 100,
                 "0 takes the likeliest token, above samples with coupled drafts (default: 0)");
  cli::AddChoice<std::string>(app, "--protocol", plan.protocol,
                              {{"authors", "authors"}, {"clean", "clean"}},
                              "how prompts are cut to length (default: authors)");
  cli::AddChoice<std::string>(app, "--perplexity-protocol", plan.perplexity_protocol,
                              {{"gptq", "gptq"}, {"llama", "llama"}},
                              "windows of table 2 (default: gptq)");
}

}  // namespace

cli::Command AddEval(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("eval", "Make the paper's comparisons on this machine");
  command
      ->add_option_function<std::vector<std::string>>(
          "experiments",
          [options](const std::vector<std::string>& names) {
            std::vector<std::string> known = Experiments();
            known.insert(known.begin(), "all");
            for (const std::string& name : names) cli::ParseChoice("experiment", name, known);
            options->experiments = names;
          },
          "all, or some of table2 to table7, fig5, fig9 (default: all)")
      ->type_name("");
  cli::AddTexts(*command, "--model", options->models, "a GGUF file; further ones are for table 7")
      ->type_name("PATH");
  cli::AddChoice<std::string>(
      *command, "--weights", options->plan.weights,
      {{"auto", "auto"}, {"nested", "nested"}, {"bf16", "bf16"}, {"float", "float"}},
      "weights of the target (default: bf16, the paper's setting)");
  cli::AddChoice<int>(*command, "--group", options->engine.group,
                      {{"32", 32}, {"64", 64}, {"128", 128}},
                      "weights that share a scale (default: 32)");
  cli::AddInteger(*command, "--threads", options->engine.threads, 1, cli::kMaxThreads,
                  "threads to compute with (default: physical cores)");
  AddPlanOptions(*command, *options);
  cli::AddText(*command, "--out", options->out,
               "the folder of cells and report (default: quantspec-eval)")
      ->type_name("DIR");
  cli::AddInteger(*command, "--budget-s", options->budget_s, 0, 1 << 30,
                  "seconds after which no further cell is begun, 0 = none (default: 600 for "
                  "smoke, none for paper)");
  command->add_flag("--plan", options->only_plan, "print the ids of the cells, one a line");
  cli::AddValue(
      *command, "--shard", "I/N",
      [options](const std::string& text) { ReadShard(text, &*options); },
      "compute every N-th cell from the I-th on");
  cli::AddText(*command, "--cell", options->cell, "compute this cell only")->type_name("ID");
  command->add_flag("--report", options->only_report,
                    "make the report from the cells that are there");
  cli::AddQuiet(*command, options->engine.quiet);
  cli::AddJson(*command, options->json);
  command->footer(
      "Cells that are in the folder are not computed again, so that an interrupted comparison "
      "goes on. See docs/eval.md.\n\nExamples:\n"
      "  quantspec eval --model m.gguf\n"
      "  quantspec eval table4 --model m.gguf --profile paper --data sets --out paper\n"
      "  quantspec eval --model m.gguf --plan | parallel quantspec eval --model m.gguf --cell {}");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::eval
