// The demo model's greedy tokens against an independent implementation (check_demo_greedy.py).

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "quantspec/engine.h"

namespace quantspec {
namespace {

TEST(DemoGreedy, GivesTheTokensOfAnIndependentImplementation) {
  const char* model = std::getenv("QUANTSPEC_TEST_MODEL");
  if (model == nullptr) GTEST_SKIP() << "QUANTSPEC_TEST_MODEL is not set";
  std::ifstream file(QS_GOLDEN_DIR "/demo_greedy.json");
  const auto golden = nlohmann::json::parse(file);
  const auto expected = golden["tokens"].get<std::vector<Token>>();

  EngineOptions options;
  options.model_path = model;
  options.weights = WeightMode::kFloat;
  options.threads = 2;
  const auto engine = Engine::Load(ModelFile::Open(options));
  const auto session = engine->Open({.context = 512, .cache = CacheKind::kFull});
  session->Prefill(golden["prompt"].get<std::vector<Token>>());
  GenerateOptions generate;
  generate.max_tokens = static_cast<int>(expected.size());
  generate.gamma = 0;
  generate.ignore_end = true;
  EXPECT_EQ(session->Generate(generate).tokens, expected);
}

}  // namespace
}  // namespace quantspec
