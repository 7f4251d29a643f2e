#include "eval/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>

#include "eval/cell_store.h"
#include "eval/method.h"
#include "eval/outcome.h"
#include "quantspec/error.h"
#include "test_folder.h"

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
  EXPECT_TRUE(differs([](Cell& c) { c.experiment = "fig5"; }));
  EXPECT_TRUE(differs([](Cell& c) { c.model.name = "other"; }));
  EXPECT_TRUE(differs([](Cell& c) { c.group = 64; }));
  EXPECT_TRUE(differs([](Cell& c) { c.data = "folder"; }));
  EXPECT_TRUE(differs([](Cell& c) { c.data_hash ^= 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.texts += 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.protocol = "clean"; }));
  EXPECT_TRUE(differs([](Cell& c) { c.example += 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.turns += 1; }));
  EXPECT_TRUE(differs([](Cell& c) { c.runs.back().method = "ngram"; }));
  EXPECT_TRUE(differs([](Cell& c) { c.runs.pop_back(); }));
  // A copy of the same file elsewhere is the same cell.
  EXPECT_FALSE(differs([](Cell& c) { c.model.path = "/b/model.gguf"; }));
}

const Cell* Find(const std::vector<Cell>& plan, const std::string& experiment) {
  for (const Cell& cell : plan) {
    if (cell.experiment == experiment) return &cell;
  }
  return nullptr;
}

TEST(Plan, OptionsThatChangeWhatIsComputedChangeIds) {
  std::vector<std::string> notes;
  const auto id = [&](auto change) {
    PlanOptions options = Small();
    options.data_hashes = {{"novel", 7}, {"code", 8}};
    change(options);
    const std::vector<Cell> plan = MakePlan(options, &notes);
    return CellId(*Find(plan, "table2"));
  };
  const std::string standard = id([](PlanOptions&) {});
  EXPECT_NE(id([](PlanOptions& o) { o.group = 64; }), standard);
  EXPECT_EQ(id([](PlanOptions& o) { o.group = 32; }), standard);
  EXPECT_NE(id([](PlanOptions& o) { o.data_hashes["novel"] = 9; }), standard);
  // More examples join no other texts.
  EXPECT_EQ(id([](PlanOptions& o) { o.examples = 10; }), standard);
}

TEST(Plan, C4IsScoredOnItsFirst256Windows) {
  PlanOptions options = Small();
  options.profile = Profile::kPaper;
  options.experiments = {"table2"};
  options.perplexity_datasets = {"wikitext2", "c4"};
  std::vector<std::string> notes;
  const std::vector<Cell> plan = MakePlan(options, &notes);
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0].tokens, 0);
  EXPECT_EQ(plan[1].tokens, 256);
}

TEST(Plan, LeavesOutWindowsThatAModelHasNoRoomFor) {
  PlanOptions options = Small();
  options.model_contexts = {1500};
  std::vector<std::string> notes;
  const std::vector<Cell> plan = MakePlan(options, &notes);
  EXPECT_EQ(Find(plan, "table2"), nullptr);
  EXPECT_NE(Find(plan, "table4"), nullptr);
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
    return note.find("a window of 2048 tokens is left out") != std::string::npos;
  }));
  options.perplexity_protocol = "llama";
  EXPECT_NE(Find(MakePlan(options, &notes), "table2"), nullptr);
}

TEST(Plan, FloatWeightsLeaveOutDraftsWith4Bits) {
  PlanOptions options = Small();
  options.weights = "float";
  options.experiments = {"table2", "table4", "fig5"};
  options.profile = Profile::kPaper;
  std::vector<std::string> notes;
  std::set<std::string> methods;
  for (const Cell& cell : MakePlan(options, &notes)) {
    for (const RunSpec& run : cell.runs) methods.insert(run.method);
  }
  EXPECT_EQ(methods, (std::set<std::string>{"plain-bf16", "plain", "streaming", "snapkv", "ngram",
                                            "kv-only"}));
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
    return note.find("plain-int4: is left out") == 0;
  }));
}

TEST(Plan, EachModelIsLoadedOnceAnExample) {
  PlanOptions options = Small();
  options.experiments = {"table4", "table7"};
  options.models.push_back({"/a/b.gguf", "b.gguf", 2000, 0x99});
  options.models.push_back({"/a/c.gguf", "c.gguf", 3000, 0x98});
  options.model_contexts = {8192, 8192, 8192};
  options.examples = 3;
  std::vector<std::string> notes;
  int loads = 0;
  std::string held;
  for (const Cell& cell : MakePlan(options, &notes)) {
    loads += cell.model.name != held ? 1 : 0;
    held = cell.model.name;
  }
  EXPECT_EQ(loads, 9);
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

TEST(FirstRun, DependsOnTheExampleAndIsNeverFedByALaterOne) {
  std::vector<std::string> notes;
  PlanOptions options = Small();
  options.experiments = {"table4"};
  options.examples = 20;
  std::set<std::string> first;
  for (const Cell& cell : MakePlan(options, &notes)) {
    for (int turn = 0; turn < cell.turns; ++turn) {
      const std::string method = cell.runs[FirstRun(cell, turn)].method;
      EXPECT_NE(method, "plain-int4");
      first.insert(method);
    }
  }
  EXPECT_GT(first.size(), 6u);
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
  const TestFolder folder_;
  CellStore store_{folder_.path() + "/store"};
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

TEST_F(Store, TakesNamesThatAreNotUtf8) {
  Cell cell = plan_[0];
  cell.dataset =
      "b\xFC"
      "cher";
  const Json result = {{"text", "caf\xE9.txt"}, {"runs", {1}}};
  store_.Write(cell, result);
  std::string damage;
  ASSERT_TRUE(store_.Read(cell, &damage).has_value()) << damage;
  EXPECT_EQ(store_.Read(cell, &damage)->at("text"), "caf\xEF\xBF\xBD.txt");
  store_.WritePlan({cell});
  EXPECT_EQ(Ids(store_.ReadPlan()), Ids({cell}));
}

TEST_F(Store, OnlyReadingMakesNoFolder) {
  const std::string folder = folder_.path() + "/mistyped";
  EXPECT_THROW(CellStore(folder, OpenStore::kToRead), Error);
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(Store, PlansOfAnotherVersionAreNamed) {
  Json cell = CellJson(plan_[0]);
  cell["version"] = "0.0.1";
  std::ofstream(store_.folder() + "/plan.jsonl") << cell.dump() << "\n";
  try {
    store_.ReadPlan();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("was made by quantspec 0.0.1"), std::string::npos);
  }
}

TEST_F(Store, OldTemporaryFilesAreCleared) {
  namespace fs = std::filesystem;
  const fs::path old = store_.folder() + "/cells/a.json.host.abcdef.tmp";
  const fs::path young = store_.folder() + "/cells/b.json.host.abcdef.tmp";
  for (const fs::path& path : {old, young}) std::ofstream(path) << "{";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(50));
  const CellStore again(store_.folder());
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  fs::remove(young);
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
