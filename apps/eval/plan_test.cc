#include "eval/plan.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "eval/cell_store.h"
#include "eval/method.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

PlanOptions Small() {
  PlanOptions options;
  options.experiments = Experiments();
  options.models = {{"/a/model.gguf", "model.gguf", 1000, 0x1234}};
  options.model_contexts = {8192};
  options.datasets = {"novel", "code"};
  options.perplexity_datasets = {"novel"};
  return options;
}

std::vector<std::string> Ids(const std::vector<Cell>& plan) {
  std::vector<std::string> ids;
  for (const Cell& cell : plan) ids.push_back(CellId(cell));
  return ids;
}

TEST(Plan, IdsAreDistinctAndDependOnEveryInput) {
  std::vector<std::string> notes;
  const std::vector<Cell> plan = MakePlan(Small(), &notes);
  const std::vector<std::string> ids = Ids(plan);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), plan.size());
  Cell cell = plan.front();
  std::set<std::string> changed = {CellId(cell)};
  const auto differs = [&](auto change) {
    Cell other = cell;
    change(other);
    return changed.insert(CellId(other)).second;
  };
  EXPECT_TRUE(differs([](Cell& c) { c.model.hash ^= 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.model.bytes += 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.weights = "auto"; }));
  EXPECT_TRUE(differs([](Cell& c) { c.context += 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.tokens += 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.temperature = 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.runs.back().gamma += 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.dataset = "other"; }));
  // A copy of the same file elsewhere is the same cell.
  EXPECT_FALSE(differs([](Cell& c) { c.model.path = "/b/model.gguf"; }));
}

TEST(Plan, FirstExamplesComeFirst) {
  std::vector<std::string> notes;
  const std::vector<Cell> plan = MakePlan(Small(), &notes);
  for (size_t i = 1; i < plan.size(); ++i) EXPECT_LE(plan[i - 1].example, plan[i].example);
  // The main table first: 2 contexts of 2 texts.
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(plan[i].experiment, "table4");
  EXPECT_NE(plan[4].experiment, "table4");
}

TEST(Plan, AllHoldsEveryExperimentOnce) {
  PlanOptions options = Small();
  options.models.push_back({"/a/other.gguf", "other.gguf", 2000, 0x99});
  options.model_contexts.push_back(8192);
  std::vector<std::string> notes;
  std::set<std::string> experiments;
  for (const Cell& cell : MakePlan(options, &notes)) {
    experiments.insert(cell.experiment);
    EXPECT_EQ(cell.model.name, cell.experiment == "table7" ? "other.gguf" : "model.gguf");
  }
  EXPECT_EQ(experiments.size(), Experiments().size());
}

TEST(Plan, LeavesOutWhatAModelHasNoRoomFor) {
  PlanOptions options = Small();
  options.experiments = {"table4"};
  options.contexts = {1000, 8100};
  std::vector<std::string> notes;
  for (const Cell& cell : MakePlan(options, &notes)) EXPECT_EQ(cell.context, 1000);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("8100"), std::string::npos);
  options.contexts = {9000};
  EXPECT_THROW(MakePlan(options, &notes), Error);
}

TEST(Plan, AChoiceOfMethodsKeepsTheDenominators) {
  PlanOptions options = Small();
  options.experiments = {"table4"};
  options.methods = {"pillar"};
  options.gammas = {2, 5};
  std::vector<std::string> notes;
  const std::vector<RunSpec> expected = {
      {"plain-bf16", 0}, {"plain", 0}, {"plain-int4", 0}, {"pillar", 2}, {"pillar", 5}};
  EXPECT_EQ(MakePlan(options, &notes).front().runs, expected);
  options.methods = {"pilar"};
  EXPECT_THROW(MakePlan(options, &notes), Error);
}

TEST(Plan, ShardsPartitionIt) {
  std::vector<std::string> notes;
  const std::vector<Cell> plan = MakePlan(Small(), &notes);
  std::multiset<std::string> together;
  for (int shard = 1; shard <= 3; ++shard) {
    for (const std::string& id : Ids(Shard(plan, shard, 3))) together.insert(id);
  }
  const std::vector<std::string> ids = Ids(plan);
  EXPECT_EQ(together, std::multiset<std::string>(ids.begin(), ids.end()));
  EXPECT_EQ(CellId(FindCell(plan, ids[2])), ids[2]);
  EXPECT_THROW(FindCell(plan, "0123456789abcdef"), Error);
}

class Store : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<std::string> notes;
    plan_ = MakePlan(Small(), &notes);
  }
  std::string PathOf(const Cell& cell) const {
    return store_.folder() + "/cells/" + CellId(cell) + ".json";
  }
  CellStore store_{testing::TempDir() + "/eval_store"};
  std::vector<Cell> plan_;
};

TEST_F(Store, PlansSurviveTheFile) {
  store_.WritePlan(plan_);
  EXPECT_EQ(Ids(store_.ReadPlan()), Ids(plan_));
  std::ofstream(store_.folder() + "/plan.jsonl") << "{\"id\": 3}\n";
  EXPECT_THROW(store_.ReadPlan(), Error);
}

TEST_F(Store, ReadsWhatWasWritten) {
  const Json result = {{"runs", {1, 2, 3}}, {"share", 0.1}};
  store_.Write(plan_[0], result);
  std::string damage;
  EXPECT_EQ(store_.Read(plan_[0], &damage), result);
  EXPECT_FALSE(store_.Read(plan_[1], &damage).has_value());
  EXPECT_EQ(damage, "");
}

TEST_F(Store, PrefixesAndOtherBytesAreDamage) {
  store_.Write(plan_[0], {{"runs", {1, 2, 3}}});
  std::ifstream file(PathOf(plan_[0]));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  for (size_t length = 0; length + 2 < text.size(); length += 5) {
    std::ofstream(PathOf(plan_[0])) << text.substr(0, length);
    std::string damage;
    EXPECT_FALSE(store_.Read(plan_[0], &damage).has_value()) << length;
    EXPECT_NE(damage, "") << length;
  }
  std::string wrong = text;
  wrong[wrong.rfind('2')] = '7';
  std::ofstream(PathOf(plan_[0])) << wrong;
  std::string damage;
  EXPECT_FALSE(store_.Read(plan_[0], &damage).has_value());
  EXPECT_NE(damage.find("checksum"), std::string::npos);
}

TEST(Methods, HaveDistinctNamesAndSpeculateWithAGamma) {
  std::set<std::string> names;
  for (const Method& method : Methods()) {
    EXPECT_TRUE(names.insert(method.name).second) << method.name;
    const bool speculates = method.kind == MethodKind::kSpeculative;
    EXPECT_EQ(method.few_gammas.empty(), !speculates) << method.name;
    EXPECT_EQ(&FindMethod(method.name), &method);
  }
}

}  // namespace
}  // namespace quantspec::eval
