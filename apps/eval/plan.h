// Which cells a comparison consists of, and in which order they are computed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "eval/cell.h"

namespace quantspec::eval {

enum class Profile { kSmoke, kPaper };

// The paper's experiments, in the paper's order.
const std::vector<std::string>& Experiments();

struct PlanOptions {
  Profile profile = Profile::kSmoke;
  std::vector<std::string> experiments;  // of Experiments()
  // The first one is the paper's main model; table7 takes the others, or all if it is alone.
  std::vector<ModelIdentity> models;
  std::vector<int> model_contexts;  // the largest of each model
  std::string weights = "bf16";
  int group = 0;  // 0: the default
  std::string data = "builtin";
  std::vector<std::string> datasets;             // prompts
  std::vector<std::string> perplexity_datasets;  // of table2 and table3
  std::map<std::string, uint64_t> data_hashes;   // HashDataset of both
  std::string protocol = "authors";
  std::string perplexity_protocol = "gptq";
  std::vector<int> contexts;         // empty: the profile's
  std::vector<std::string> methods;  // empty: the experiment's
  std::vector<int> gammas;           // empty: the profile's
  int tokens = 0;                    // 0: the profile's
  int examples = 0;                  // 0: the profile's
  int turns = 0;                     // 0: the profile's
  float temperature = 0;
};

// What the profile leaves open where an option was not given.
int DefaultTokens(Profile profile);
int DefaultExamples(Profile profile);
int DefaultTurns(Profile profile);
std::vector<int> DefaultContexts(Profile profile);

// All cells, breadth first: the first example of everything comes before any second one, so that a
// plan that is cut short covers all kinds of cells alike; within an example model by model, so that
// each is loaded once. Contexts and windows that a model has no room for, and methods that its
// weights do not allow, are left out and named in `notes`. Throws Error{kUsage} where nothing is
// left.
std::vector<Cell> MakePlan(const PlanOptions& options, std::vector<std::string>* notes);

// The cells of shard `index` (1 to `count`) of the plan.
std::vector<Cell> Shard(const std::vector<Cell>& plan, int index, int count);
// The cell with this id. Throws Error{kUsage}.
const Cell& FindCell(const std::vector<Cell>& plan, const std::string& id);

}  // namespace quantspec::eval
