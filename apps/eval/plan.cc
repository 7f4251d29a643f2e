#include "eval/plan.h"

#include <algorithm>

#include "bench/perplexity.h"
#include "eval/method.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr int kSearchContext = 8192;  // of the paper's search for gamma [quantspec, appendix G]

constexpr int kSmokeWindows = 2;  // of each text in table 2
constexpr int kJoinedTexts = 4;   // of a set that is no corpus, in tables 2 and 3
constexpr int kDefaultGroup = 32;

using Names = std::vector<std::string>;

bool Has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The experiments in the order of what matters most where time is short.
const Names& Urgency() {
  static const Names order = {"table4", "table2", "table5", "table3",
                              "fig5",   "table6", "table7", "fig9"};
  return order;
}

Names MethodsOf(const std::string& experiment) {
  if (experiment == "table4") {
    return {kPlainPaper,   kPlainOwn, kPlainInt4, "streaming",     "snapkv",   "streaming-int4",
            "snapkv-int4", "pillar",  "ngram",    "quantspec-all", "quantspec"};
  }
  if (experiment == "table7") {
    return {kPlainPaper, kPlainOwn,       kPlainInt4, "streaming",
            "snapkv",    "quantspec-all", "quantspec"};
  }
  if (experiment == "table6") {
    return {kPlainPaper, "streaming", "snapkv", "quantspec-all", "quantspec"};
  }
  if (experiment == "fig5")
    return {kPlainPaper, kPlainOwn, "kv-only", "weights-only", "quantspec-all"};
  return {"streaming-int4", "snapkv-int4", "quantspec-all", "quantspec"};  // fig9
}

bool SearchesGamma(const std::string& experiment) {
  return experiment == "table6" || experiment == "fig9";
}

std::vector<int> GammasOf(const PlanOptions& options, const std::string& experiment,
                          const Method& method) {
  if (method.kind != MethodKind::kSpeculative) return {0};
  if (!options.gammas.empty()) return options.gammas;
  if (options.profile == Profile::kPaper) return method.more_gammas;
  if (experiment == "fig5") return {2};  // the parts of a draft at one gamma
  if (!SearchesGamma(experiment)) return method.few_gammas;
  return method.more_gammas.size() > 3 ? std::vector<int>{1, 2, 4, 6} : std::vector<int>{1, 2, 3};
}

// Puts `name` in front unless it is there.
void Require(const char* name, Names* names) {
  if (!Has(*names, name)) names->insert(names->begin(), name);
}

std::vector<RunSpec> RunsOf(const PlanOptions& options, const std::string& experiment) {
  const Names own = MethodsOf(experiment);
  Names names = options.methods.empty() ? own : options.methods;
  // Speeds need their denominators, outputs what they must equal.
  for (const char* plain : {kPlainInt4, kPlainOwn, kPlainPaper}) {
    if (Has(own, plain)) Require(plain, &names);
  }
  const Names chosen = names;
  for (const std::string& name : chosen) {
    Require(FindMethod(name).target == Target::kOwn ? kPlainOwn : kPlainPaper, &names);
  }
  // In one order, plain decoding first.
  const Names order = MethodNames();
  std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return std::find(order.begin(), order.end(), a) < std::find(order.begin(), order.end(), b);
  });
  std::vector<RunSpec> runs;
  for (const std::string& name : names) {
    for (const int gamma : GammasOf(options, experiment, FindMethod(name))) {
      runs.push_back({name, gamma});
    }
  }
  return runs;
}

class Planner {
 public:
  Planner(const PlanOptions& options, Names* notes) : options_(options), notes_(notes) {}

  std::vector<Cell> Make() {
    const int examples = Given(options_.examples, DefaultExamples(options_.profile));
    for (int example = 0; example < examples; ++example) {
      for (size_t model = 0; model < options_.models.size(); ++model) {
        for (const std::string& experiment : Urgency()) {
          if (!Has(options_.experiments, experiment) || !TakesModel(experiment, model)) continue;
          Add(experiment, model, example);
        }
      }
    }
    if (plan_.empty()) {
      std::string why;
      for (const std::string& note : *notes_) why += "; " + note;
      throw Error(ErrorKind::kUsage, "nothing to compare" + why);
    }
    return std::move(plan_);
  }

 private:
  static int Given(int value, int standard) { return value > 0 ? value : standard; }
  bool IsSmoke() const { return options_.profile == Profile::kSmoke; }

  // Table 7 is table 4 for other models than the main one.
  bool TakesModel(const std::string& experiment, size_t model) const {
    if (experiment != "table7") return model == 0;
    return model > 0 || options_.experiments.size() == 1;
  }

  Cell Base(const std::string& experiment, size_t model, int example) const {
    Cell cell;
    cell.experiment = experiment;
    cell.model = options_.models[model];
    cell.weights = options_.weights;
    cell.group = Given(options_.group, kDefaultGroup);
    cell.data = options_.data == "builtin" ? "builtin" : "folder";
    cell.protocol = options_.protocol;
    cell.example = example;
    return cell;
  }

  void SetDataset(const std::string& dataset, Cell* cell) const {
    cell->dataset = dataset;
    const auto hash = options_.data_hashes.find(dataset);
    if (hash != options_.data_hashes.end()) cell->data_hash = hash->second;
  }

  // Without the methods that read 4-bit weights where the own target has none.
  std::vector<RunSpec> Allowed(std::vector<RunSpec> runs) {
    if (options_.weights != "float") return runs;
    std::erase_if(runs, [&](const RunSpec& run) {
      const Method& method = FindMethod(run.method);
      if (method.target != Target::kOwn || method.draft_weights != "int4") return false;
      Note(run.method + ": is left out, as float weights have no 4-bit copy to draft with");
      return true;
    });
    return runs;
  }

  void Add(const std::string& experiment, size_t model, int example) {
    if (experiment == "table2" || experiment == "table3") {
      if (example == 0) AddPerplexity(experiment, model);
    } else if (experiment == "table5") {
      if (example == 0) AddKernels(model);
    } else {
      // Only the main tables repeat over all texts when time is short.
      const bool is_side = SearchesGamma(experiment) || experiment == "fig5";
      if (IsSmoke() && is_side && example > 0 && options_.examples == 0) return;
      AddDecoding(experiment, model, example);
    }
  }

  void AddPerplexity(const std::string& experiment, size_t model) {
    for (const std::string& dataset : options_.perplexity_datasets) {
      Cell cell = Base(experiment, model, 0);
      SetDataset(dataset, &cell);
      cell.texts = kJoinedTexts;
      cell.protocol = options_.perplexity_protocol;
      cell.context = cell.protocol == "llama" ? kLlamaWindow : kGptqWindow;
      cell.tokens = IsSmoke() ? kSmokeWindows : dataset.rfind("c4", 0) == 0 ? kC4Windows : 0;
      cell.runs = {{kPlainPaper, 0}, {kPlainOwn, 0}};
      // The draft takes a step a token; float weights have none of their own.
      if (!IsSmoke() && options_.weights != "float") cell.runs.push_back({kDraftOfPaper, 0});
      if (experiment == "table3") {
        // Every way to round takes a pass of its own.
        cell.runs.clear();
        if (IsSmoke()) cell.context = std::min(cell.context, 1024);
        if (IsSmoke()) cell.tokens = 1;
      }
      if (cell.context > options_.model_contexts[model]) {
        Note(cell.model.name + ": a window of " + std::to_string(cell.context) +
             " tokens is left out, as the model's context holds " +
             std::to_string(options_.model_contexts[model]) +
             (cell.protocol == "llama" ? "" : "; --perplexity-protocol llama takes 512"));
        return;
      }
      plan_.push_back(cell);
      if (experiment == "table3") return;  // as in the paper, one text
    }
  }

  void AddKernels(size_t model) {
    for (const int context :
         IsSmoke() ? std::vector<int>{4096, 32768} : std::vector<int>{65536, 131072, 262144}) {
      Cell cell = Base("table5", model, 0);
      cell.context = context;
      cell.turns = 5;
      plan_.push_back(cell);
    }
  }

  std::vector<int> ContextsOf(const std::string& experiment, size_t model) {
    std::vector<int> contexts =
        options_.contexts.empty() ? DefaultContexts(options_.profile) : options_.contexts;
    if (experiment == "table6") {
      const bool has_own = options_.contexts.empty() && !IsSmoke();
      contexts = {has_own ? kSearchContext : contexts.front()};
    }
    const int room = options_.model_contexts[model] - Tokens();
    std::vector<int> fitting;
    for (const int context : contexts) {
      if (context <= room) {
        fitting.push_back(context);
      } else {
        Note(options_.models[model].name + ": a prompt of " + std::to_string(context) +
             " tokens is left out, as the model's context holds " +
             std::to_string(options_.model_contexts[model]) + ", " + std::to_string(Tokens()) +
             " generated ones included");
      }
    }
    return fitting;
  }

  void AddDecoding(const std::string& experiment, size_t model, int example) {
    const bool is_side = SearchesGamma(experiment) || experiment == "fig5";
    for (const int context : ContextsOf(experiment, model)) {
      for (const std::string& dataset : options_.datasets) {
        Cell cell = Base(experiment, model, example);
        SetDataset(dataset, &cell);
        cell.context = context;
        cell.tokens = Tokens();
        cell.turns = Given(options_.turns, DefaultTurns(options_.profile));
        cell.temperature = options_.temperature;
        cell.runs = Allowed(RunsOf(options_, experiment));
        plan_.push_back(cell);
        if (IsSmoke() && is_side) break;
      }
    }
  }

  int Tokens() const { return Given(options_.tokens, DefaultTokens(options_.profile)); }

  void Note(const std::string& text) {
    if (!Has(*notes_, text)) notes_->push_back(text);
  }

  const PlanOptions& options_;
  Names* notes_;
  std::vector<Cell> plan_;
};

}  // namespace

const Names& Experiments() {
  static const Names names = {"table2", "table3", "table4", "table5",
                              "fig5",   "table6", "table7", "fig9"};
  return names;
}

int DefaultTokens(Profile profile) { return profile == Profile::kSmoke ? 128 : 256; }
int DefaultExamples(Profile profile) { return profile == Profile::kSmoke ? 2 : 10; }
int DefaultTurns(Profile profile) { return profile == Profile::kSmoke ? 1 : 3; }

// Round thousands, as in the authors' scripts. 1,000 and 4,000 are no multiples of 256, so that
// even short outputs seal a group.
std::vector<int> DefaultContexts(Profile profile) {
  if (profile == Profile::kSmoke) return {1000, 4000};
  return {4000, 8000, 16000, 32000, 64000, 128000};
}

std::vector<Cell> MakePlan(const PlanOptions& options, Names* notes) {
  return Planner(options, notes).Make();
}

std::vector<Cell> Shard(const std::vector<Cell>& plan, int index, int count) {
  std::vector<Cell> cells;
  for (size_t i = static_cast<size_t>(index - 1); i < plan.size();
       i += static_cast<size_t>(count)) {
    cells.push_back(plan[i]);
  }
  return cells;
}

const Cell& FindCell(const std::vector<Cell>& plan, const std::string& id) {
  for (const Cell& cell : plan) {
    if (CellId(cell) == id) return cell;
  }
  throw Error(ErrorKind::kUsage, "--cell: '" + id + "' is not one of the " +
                                     std::to_string(plan.size()) +
                                     " cells of this plan; --plan prints their ids");
}

}  // namespace quantspec::eval
