// Drafts that no model makes: as the only source, and where gamma auto takes them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "decode/generate.h"
#include "decode/ngram_source.h"
#include "decode/toy_model.h"

namespace quantspec {
namespace {

const std::vector<Token> kPrompt = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};

struct Outcome {
  GenerateResult result;
  uint64_t digest = 0;
};

// A toy whose tokens depend on the last two alone soon repeats itself when it is greedy.
Outcome RunToy(const GenerateOptions& options, DraftSource* source) {
  ToyOptions toy;
  toy.memory = 2;
  ToyModel model(toy);
  model.draft_s = [] { return 0.4; };
  model.verify_s = [](int rows) { return 1.0 + 0.05 * rows; };
  Decoding decoding(toy.vocab, toy.vocab);
  std::vector<Token> tokens = kPrompt;
  GenerateCall call;
  call.tokens = &tokens;
  call.first_logits = model.Prefill(kPrompt);
  call.options = options;
  call.source = source;
  call.clock = [&] { return model.seconds; };
  Outcome outcome{Generate(decoding, model, call), model.Digest()};
  EXPECT_EQ(model.violation, "");
  return outcome;
}

GenerateOptions Options(int gamma) {
  GenerateOptions options;
  options.max_tokens = 300;
  options.gamma = gamma;
  return options;
}

TEST(Lookup, AsTheOnlySourceLeavesTheOutputAsItIs) {
  NgramSource source;
  for (const float temperature : {0.0f, 0.8f}) {
    GenerateOptions options = Options(0);
    options.sampling.temperature = temperature;
    const Outcome plain = RunToy(options, nullptr);
    for (const int gamma : {1, 4, 16, kGammaAuto}) {
      options.gamma = gamma;
      const Outcome outcome = RunToy(options, &source);
      EXPECT_EQ(outcome.result.tokens, plain.result.tokens) << gamma << " " << temperature;
      EXPECT_EQ(outcome.digest, plain.digest);
      EXPECT_EQ(outcome.result.stats.looked_up, outcome.result.stats.drafted);
      EXPECT_EQ(outcome.result.stats.draft_s, 0);
      if (temperature == 0) {
        EXPECT_GT(outcome.result.stats.accepted, 100);
      }
    }
  }
}

TEST(Lookup, GoesWithTheRuleRejection) {
  NgramSource source;
  GenerateOptions options = Options(4);
  options.sampling.temperature = 0.2f;
  options.sampling.verify = VerifyRule::kRejection;
  const Outcome outcome = RunToy(options, &source);
  EXPECT_EQ(outcome.result.tokens.size(), 300u);
  EXPECT_GT(outcome.result.stats.accepted, 0);
}

TEST(Lookup, GammaAutoTakesItWhereTheTextRepeatsItself) {
  const Outcome plain = RunToy(Options(0), nullptr), chosen = RunToy(Options(kGammaAuto), nullptr);
  EXPECT_EQ(chosen.result.tokens, plain.result.tokens);
  EXPECT_EQ(chosen.digest, plain.digest);
  EXPECT_GT(chosen.result.stats.looked_up, 150);
  bool is_named = false;
  for (const GammaChange& change : chosen.result.stats.gamma_changes) {
    is_named |= change.reason.find("repeats itself") != std::string::npos;
  }
  EXPECT_TRUE(is_named);
  double best = plain.result.stats.decode_s;
  for (int gamma = 1; gamma <= kMaxGamma; ++gamma) {
    const Outcome fixed = RunToy(Options(gamma), nullptr);
    EXPECT_EQ(fixed.result.stats.looked_up, 0) << "a fixed gamma means the model's drafts";
    best = std::min(best, fixed.result.stats.decode_s);
  }
  EXPECT_LT(chosen.result.stats.decode_s, best);
}

// Rounds of a text whose end always stands earlier, too, but never goes on in the same way.
TEST(Lookup, IsGivenUpWhereItIsWrong) {
  GammaController controller;
  controller.Start({});
  double time = 0;
  int tokens = 0, looked_up = 0;
  for (; tokens < 600;) {
    const int lookup = controller.NextLookup(16);
    if (lookup > 0) {
      ++looked_up;
      const double verify = 1 + 0.1 * lookup;
      controller.ObserveLookup(lookup, verify, 0);
      time += verify;
      tokens += 1;
      continue;
    }
    // Drafts never pay here.
    const int gamma = controller.Next();
    const std::vector<double> steps(static_cast<size_t>(gamma), 0.9);
    controller.Observe(steps, 1 + 0.1 * gamma, 0);
    time += 0.9 * gamma + 1 + 0.1 * gamma;
    tokens += 1;
  }
  EXPECT_GT(looked_up, 0);
  EXPECT_LT(looked_up, 100);
  EXPECT_LT(time, 600 * 1.02);
}

}  // namespace
}  // namespace quantspec
