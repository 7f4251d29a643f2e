// The promise of docs/architecture.md: speculative output equals plain output, token for token and
// cache byte for cache byte, for every gamma, across seals, for any number of threads.
//
// On tiny random models always; on the demo model (QUANTSPEC_TEST_MODEL) a part, or everything that
// docs/results.md names with QUANTSPEC_FULL=1.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "exactness/models.h"
#include "quantspec/engine.h"

namespace quantspec {
namespace {

struct Output {
  std::vector<Token> tokens;
  std::string digest;
  int64_t accepted = 0;
  int64_t drafted = 0;
  bool operator==(const Output& other) const {
    return tokens == other.tokens && digest == other.digest;
  }
};

Output Decode(Session& session, const std::vector<Token>& prompt, int tokens, int gamma,
              const SamplingOptions& sampling) {
  session.Clear();
  EXPECT_TRUE(session.Prefill(prompt));
  GenerateOptions options;
  options.max_tokens = tokens;
  options.gamma = gamma;
  options.ignore_end = true;
  options.sampling = sampling;
  const GenerateResult result = session.Generate(options);
  EXPECT_EQ(result.tokens.size(), static_cast<size_t>(tokens));
  return {result.tokens, session.CacheDigest(), result.stats.accepted, result.stats.drafted};
}

struct Plan {
  std::string model;
  WeightMode mode = WeightMode::kAuto;
  CacheKind cache = CacheKind::kHierarchical;
  int group = 32;
  int draft_exact_layers = -1;
  int draft_context = kDraftBudgetAuto;
  std::vector<Token> prompt;
  int tokens = 0;
  std::vector<int> gammas;
  std::vector<int> threads;
  std::vector<SamplingOptions> samplings;
};

std::shared_ptr<const Engine> LoadEngine(const Plan& plan, int threads) {
  EngineOptions options;
  options.model_path = plan.model;
  options.weights = plan.mode;
  options.group = plan.group;
  options.draft_exact_layers = plan.draft_exact_layers;
  options.threads = threads;
  return Engine::Load(ModelFile::Open(options));
}

// Longest drafts whose acceptance counts. Longer ones mostly go on from a rejected token, and
// how many `auto` makes depends on the time that steps take.
constexpr int kShortDraft = 4;

// Returns the share of tokens accepted over all short drafts of a fixed length.
double ExpectOneOutput(const Plan& plan) {
  int64_t accepted = 0, drafted = 0;
  for (const SamplingOptions& sampling : plan.samplings) {
    Output plain;
    for (const int threads : plan.threads) {
      const auto engine = LoadEngine(plan, threads);
      SessionOptions options;
      options.context = static_cast<int>(plan.prompt.size()) + plan.tokens;
      options.cache = plan.cache;
      options.draft.budget_tokens = plan.draft_context;
      const auto session = engine->Open(options);
      for (const int gamma : plan.gammas) {
        const Output output = Decode(*session, plan.prompt, plan.tokens, gamma, sampling);
        if (plain.tokens.empty()) plain = output;
        EXPECT_TRUE(output == plain)
            << "gamma " << gamma << ", threads " << threads << ", temperature "
            << sampling.temperature << ", seed " << sampling.seed;
        if (gamma == kGammaAuto || gamma > kShortDraft) continue;
        accepted += output.accepted;
        drafted += output.drafted;
      }
    }
  }
  return drafted == 0 ? 0 : static_cast<double>(accepted) / static_cast<double>(drafted);
}

SamplingOptions Coupled(uint64_t seed) {
  SamplingOptions sampling;
  sampling.temperature = 0.8f;
  sampling.seed = seed;
  return sampling;
}

// Tokens of prompt and answer on tiny models: several seals.
constexpr int kTinyTokens = 700;

// A plan that fills the context of a model of tests/golden, or so much of it.
Plan TinyPlan(const std::string& name, WeightMode mode, int most = kTinyTokens) {
  Plan plan;
  plan.model = std::string(QS_GOLDEN_DIR) + "/models/" + name;
  plan.mode = mode;
  EngineOptions options;
  options.model_path = plan.model;
  const auto file = ModelFile::Open(options);
  const int context = std::min(file->info().context, most);
  const int prompt = context / 3;
  for (int i = 0; i < prompt; ++i) plan.prompt.push_back((i * 29 + 3) % file->info().vocab);
  plan.tokens = context - prompt;
  return plan;
}

TEST(Exactness, SpeculativeOutputIsPlainOutputOnTinyModels) {
  for (const char* model : {"llama-long.gguf", "qwen3-gqa4-tied.gguf"}) {
    for (const WeightMode mode : {WeightMode::kAuto, WeightMode::kNested, WeightMode::kBf16}) {
      Plan plan = TinyPlan(model, mode);
      plan.gammas = {0, 1, 2, 3, 4, 6, 8, 16, kGammaAuto};
      plan.threads = {1, 2};
      plan.samplings = {SamplingOptions{}, Coupled(1), Coupled(2)};
      ExpectOneOutput(plan);
    }
  }
}

TEST(Exactness, SpeculativeOutputIsPlainOutputOnEveryFamily) {
  for (const char* model : testing::kFamilyModels) {
    SCOPED_TRACE(model);
    for (const WeightMode mode : {WeightMode::kAuto, WeightMode::kBf16}) {
      Plan plan = TinyPlan(model, mode);
      plan.gammas = {0, 1, 4, 16, kGammaAuto};
      plan.threads = {1, 2};
      plan.samplings = {SamplingOptions{}, Coupled(1)};
      ExpectOneOutput(plan);
    }
  }
}

// Past the windows, and past the places where their rings wrap.
TEST(Exactness, SpeculativeOutputIsPlainOutputOnModelsWithWindows) {
  for (const char* model : {"llama-windows.gguf", "llama-window.gguf"}) {
    for (const WeightMode mode : {WeightMode::kAuto, WeightMode::kBf16}) {
      for (const CacheKind cache : {CacheKind::kHierarchical, CacheKind::kFull}) {
        Plan plan = TinyPlan(model, mode, kTinyTokens + 500);
        plan.cache = cache;
        plan.gammas = {0, 1, 4, 16, kGammaAuto};
        plan.threads = {1, 2};
        plan.samplings = {SamplingOptions{}, Coupled(1)};
        ExpectOneOutput(plan);
      }
    }
  }
}

TEST(Exactness, SpeculativeOutputIsPlainOutputForEveryNumberOfExactLayers) {
  for (const WeightMode mode : {WeightMode::kNested, WeightMode::kBf16}) {
    Plan plan = TinyPlan("llama-long.gguf", mode);
    plan.group = 64;
    plan.gammas = {0, 1, 4, 16};
    plan.threads = {2};
    plan.samplings = {SamplingOptions{}, Coupled(1)};
    for (const int exact : {0, 1, 2}) {
      plan.draft_exact_layers = exact;
      EXPECT_GT(ExpectOneOutput(plan), 0) << exact << " exact layers";
    }
    plan.draft_exact_layers = 3;
    EXPECT_THROW(LoadEngine(plan, 1), Error);
  }
}

TEST(Exactness, SpeculativeOutputIsPlainOutputForEveryDraftContext) {
  Plan plan = TinyPlan("llama-long.gguf", WeightMode::kNested);
  plan.gammas = {0, 1, 4, 16};
  plan.threads = {1, 2};
  plan.samplings = {SamplingOptions{}, Coupled(1)};
  for (const int tokens : {0, 128, 300, kDraftBudgetAll}) {
    plan.draft_context = tokens;
    EXPECT_GT(ExpectOneOutput(plan), 0) << tokens << " tokens";
  }
  plan.draft_context = -2;
  EXPECT_THROW(ExpectOneOutput(plan), Error);
}

std::string ReadBook(size_t bytes) {
  const char* folder = std::getenv("QUANTSPEC_BOOKS");
  std::ifstream file(std::string(folder ? folder : "") + "/moby-dick.txt");
  if (!file) file.open(std::string(QS_GOLDEN_DIR) + "/../../examples/a-case-of-identity.txt");
  std::stringstream text;
  text << file.rdbuf();
  return text.str().substr(0, bytes);
}

// How much the demo model decodes.
struct Extent {
  size_t prompt;
  int tokens;
  int draft_context;  // less than there is
  std::vector<int> gammas;
  std::vector<int> threads;
  std::vector<SamplingOptions> samplings;
};

Extent DemoExtent() {
  if (std::getenv("QUANTSPEC_FULL") != nullptr) {
    return {2000,
            700,
            kDraftBudgetAuto,
            {0, 1, 2, 3, 4, 6, 8, 16, kGammaAuto},
            {1, 2},
            {SamplingOptions{}, Coupled(1), Coupled(2)}};
  }
#ifdef __SANITIZE_THREAD__
  // Slower by dozens, and races do not need long texts: one seal and every kind of step.
  return {240, 32, 0, {0, 3, kGammaAuto}, {2}, {SamplingOptions{}, Coupled(1)}};
#else
  return {700, 150, 256, {0, 3, 16, kGammaAuto}, {2}, {SamplingOptions{}, Coupled(1)}};
#endif
}

TEST(Exactness, SpeculativeOutputIsPlainOutputOnTheDemoModel) {
  const char* model = std::getenv("QUANTSPEC_TEST_MODEL");
  if (model == nullptr) GTEST_SKIP() << "SKIPPED: QUANTSPEC_TEST_MODEL names no model";
  const Extent extent = DemoExtent();
  EngineOptions options;
  options.model_path = model;
  const auto file = ModelFile::Open(options);
  std::vector<Token> text = file->tokenizer().Encode(ReadBook(20000), SpecialTokens::kAsText);
  ASSERT_GT(text.size(), 2000u);
  text.resize(extent.prompt);
  struct Mode {
    WeightMode mode;
    int group;
  };
  for (const Mode mode :
       {Mode{WeightMode::kAuto, 32}, {WeightMode::kNested, 64}, {WeightMode::kBf16, 32}}) {
    Plan plan;
    plan.model = model;
    plan.mode = mode.mode;
    plan.group = mode.group;
    plan.prompt = text;
    plan.tokens = extent.tokens;
    plan.draft_context = extent.draft_context;
    plan.gammas = extent.gammas;
    plan.threads = extent.threads;
    plan.samplings = extent.samplings;
    EXPECT_GT(ExpectOneOutput(plan), 0.5) << "the draft hardly ever agrees";
  }
}

}  // namespace
}  // namespace quantspec
