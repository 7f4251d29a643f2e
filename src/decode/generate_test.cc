#include "decode/generate.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "decode/toy_model.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

const std::vector<Token> kPrompt = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};

struct Outcome {
  std::vector<Token> tokens;  // prompt and output
  GenerateResult result;
  uint64_t digest = 0;
  int length = 0;
  std::string violation;
  std::vector<Token> streamed;
};

Outcome RunToy(const ToyOptions& toy, const GenerateOptions& options, const IsEnd& is_end = {},
               int stop_after = -1) {
  ToyModel model(toy);
  model.draft_s = [] { return 0.4; };
  model.verify_s = [](int rows) { return 1.0 + 0.05 * rows; };
  Decoding decoding(toy.vocab, toy.vocab);
  Outcome outcome;
  outcome.tokens = kPrompt;
  GenerateCall call{&outcome.tokens, model.Prefill(kPrompt), options, is_end, {}, {}, {}};
  call.clock = [&] { return model.seconds; };
  call.on_token = [&](Token token) {
    outcome.streamed.push_back(token);
    return static_cast<int>(outcome.streamed.size()) != stop_after;
  };
  outcome.result = Generate(decoding, model, call);
  outcome.digest = model.Digest();
  outcome.length = model.Length();
  outcome.violation = model.violation;
  return outcome;
}

void ExpectSame(const Outcome& plain, const Outcome& other) {
  EXPECT_EQ(other.violation, "");
  EXPECT_EQ(other.result.tokens, plain.result.tokens);
  EXPECT_EQ(other.streamed, plain.result.tokens);
  EXPECT_EQ(other.result.finish, plain.result.finish);
  EXPECT_EQ(other.result.context_full, plain.result.context_full);
  EXPECT_EQ(other.digest, plain.digest);
  const int generated = static_cast<int>(other.result.tokens.size());
  EXPECT_EQ(other.length, static_cast<int>(kPrompt.size()) + std::max(0, generated - 1));
}

void ExpectEveryGammaEqualsPlain(const ToyOptions& toy, GenerateOptions options,
                                 const IsEnd& is_end = {}, int stop_after = -1) {
  options.gamma = 0;
  const Outcome plain = RunToy(toy, options, is_end, stop_after);
  ExpectSame(plain, plain);
  for (int gamma = kGammaAuto; gamma <= kMaxGamma; ++gamma) {
    SCOPED_TRACE("gamma " + std::to_string(gamma));
    options.gamma = gamma;
    ExpectSame(plain, RunToy(toy, options, is_end, stop_after));
  }
}

// Plain decoding written down once more, without a loop of rounds.
std::vector<Token> GreedyByHand(const ToyOptions& toy, int count) {
  const ToyModel model(toy);
  std::vector<Token> tokens = kPrompt;
  for (int i = 0; i < count; ++i) {
    const std::vector<float> logits = model.Logits(tokens, Reader::kTarget);
    tokens.push_back(
        static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(kPrompt.size()), tokens.end()};
}

TEST(Generate, GreedyOutputIsThatOfPlainDecodingForEveryGamma) {
  ToyOptions toy;
  GenerateOptions options;
  options.max_tokens = 150;
  EXPECT_EQ(RunToy(toy, options).result.tokens, GreedyByHand(toy, 150));
  for (const float error : {0.0f, 1.0f, 4.0f, 40.0f}) {
    SCOPED_TRACE(error);
    toy.error = error;
    ExpectEveryGammaEqualsPlain(toy, options);
  }
}

TEST(Generate, CoupledOutputIsThatOfPlainSamplingForEveryGammaFilterAndSeed) {
  ToyOptions toy;
  toy.vocab = 300;
  GenerateOptions options;
  options.max_tokens = 100;
  for (const uint64_t seed : {0u, 1u, 12345u}) {
    for (int filter = 0; filter < 6; ++filter) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " filter " + std::to_string(filter));
      SamplingOptions sampling;
      sampling.seed = seed;
      sampling.temperature = filter == 1 ? 0.3f : filter == 2 ? 2.0f : 0.8f;
      if (filter == 3) sampling.top_k = 5;
      if (filter == 4) sampling.top_p = 0.7f;
      if (filter == 5) {
        sampling.min_p = 0.1f;
        sampling.top_k = 40;
        sampling.top_p = 0.95f;
        sampling.repeat_penalty = 1.3f;
      }
      options.sampling = sampling;
      ExpectEveryGammaEqualsPlain(toy, options);
    }
  }
}

TEST(Generate, RepeatPenaltySeesDraftedTokens) {
  // With a window longer than a round, draft and target agree only if both count drafted tokens.
  ToyOptions toy;
  toy.error = 0.0f;
  GenerateOptions options;
  options.max_tokens = 120;
  options.sampling.repeat_penalty = 3.0f;
  options.sampling.repeat_window = 6;
  ExpectEveryGammaEqualsPlain(toy, options);
  options.gamma = 6;
  const GenerateStats stats = RunToy(toy, options).result.stats;
  EXPECT_EQ(stats.accepted, stats.drafted);
}

TEST(Generate, EndsTheSameForEveryGamma) {
  ToyOptions toy;
  toy.error = 0.3f;
  GenerateOptions options;
  options.max_tokens = 200;
  const std::vector<Token> whole = GreedyByHand(toy, 60);

  for (int at = 0; at < 40; at += 3) {
    SCOPED_TRACE(at);
    int seen = 0;
    // The end token is a place in the sequence here, so that it meets every part of a round.
    const IsEnd is_end = [&, at](Token) { return seen++ == at; };
    for (int gamma : {0, 1, 2, 3, 5, 8, 16, kGammaAuto}) {
      options.gamma = gamma;
      seen = 0;
      const Outcome outcome = RunToy(toy, options, is_end);
      EXPECT_EQ(outcome.violation, "");
      EXPECT_EQ(outcome.result.finish, FinishReason::kStop);
      EXPECT_EQ(outcome.result.tokens, std::vector<Token>(whole.begin(), whole.begin() + at + 1));
      EXPECT_EQ(outcome.length, static_cast<int>(kPrompt.size()) + at);
    }
    // The caller's stop.
    ExpectEveryGammaEqualsPlain(toy, options, {}, at + 1);
    options.gamma = 4;
    EXPECT_EQ(RunToy(toy, options, {}, at + 1).result.finish, FinishReason::kInterrupted);
    // The limit.
    GenerateOptions limited = options;
    limited.max_tokens = at;
    ExpectEveryGammaEqualsPlain(toy, limited);
    EXPECT_EQ(RunToy(toy, limited).result.finish, FinishReason::kLength);
    EXPECT_FALSE(RunToy(toy, limited).result.context_full);
  }
}

TEST(Generate, IgnoresEndTokensWhenAsked) {
  GenerateOptions options;
  options.max_tokens = 20;
  options.ignore_end = true;
  const Outcome outcome = RunToy({}, options, [](Token) { return true; });
  EXPECT_EQ(outcome.result.finish, FinishReason::kLength);
  EXPECT_EQ(outcome.result.tokens.size(), 20u);
}

TEST(Generate, AnEndTokenThatTheCallerRefusesIsStillAnEnd) {
  GenerateOptions options;
  const Outcome outcome = RunToy(
      {}, options, [](Token) { return true; }, 1);
  EXPECT_EQ(outcome.result.finish, FinishReason::kStop);
}

TEST(Generate, AFullContextEndsWithOneTokenBeyondTheCache) {
  for (const int context : {11, 12, 13, 16, 17, 24, 31, 32, 33, 50}) {
    SCOPED_TRACE(context);
    ToyOptions toy;
    toy.context = context;
    GenerateOptions options;
    options.max_tokens = 1000;
    ExpectEveryGammaEqualsPlain(toy, options);
    options.gamma = 5;
    const Outcome outcome = RunToy(toy, options);
    EXPECT_EQ(outcome.result.finish, FinishReason::kLength);
    EXPECT_TRUE(outcome.result.context_full);
    EXPECT_EQ(outcome.length, context);
    EXPECT_EQ(outcome.result.tokens.size() + kPrompt.size(), static_cast<size_t>(context) + 1);
  }
}

TEST(Generate, SealsTheSameGroupsForEveryGamma) {
  for (const int group : {1, 2, 3, 8, 128}) {
    SCOPED_TRACE(group);
    ToyOptions toy;
    toy.group = group;
    GenerateOptions options;
    options.max_tokens = 90;
    ExpectEveryGammaEqualsPlain(toy, options);
  }
}

TEST(Generate, CountsAddUp) {
  ToyOptions toy;
  GenerateOptions options;
  options.max_tokens = 150;
  for (int gamma = kGammaAuto; gamma <= kMaxGamma; ++gamma) {
    SCOPED_TRACE(gamma);
    options.gamma = gamma;
    const GenerateStats stats = RunToy(toy, options).result.stats;
    const auto& drafted = stats.drafted_by_position;
    const auto& accepted = stats.accepted_by_position;
    const auto& reached = stats.reached_by_position;
    EXPECT_EQ(stats.gamma, gamma);
    EXPECT_EQ(stats.generated_tokens, 150);
    EXPECT_EQ(stats.generated_tokens, 1 + stats.rounds + stats.accepted);
    EXPECT_EQ(stats.drafted, std::accumulate(drafted.begin(), drafted.end(), int64_t{0}));
    EXPECT_EQ(stats.accepted, std::accumulate(accepted.begin(), accepted.end(), int64_t{0}));
    for (size_t i = 0; i < kMaxGamma; ++i) {
      EXPECT_LE(accepted[i], reached[i]);
      EXPECT_LE(reached[i], drafted[i]);
      EXPECT_LE(reached[i], i > 0 ? accepted[i - 1] : stats.rounds);
      EXPECT_LE(drafted[i], i > 0 ? drafted[i - 1] : stats.rounds);
      EXPECT_LE(accepted[i], i > 0 ? accepted[i - 1] : stats.rounds);
      EXPECT_TRUE(gamma < 0 || static_cast<int>(i) < gamma || drafted[i] == 0);
    }
    // The simulated clock ticks in steps only: 0.4 a draft step, 1 + 0.05 rows a target step.
    EXPECT_NEAR(stats.draft_s, 0.4 * static_cast<double>(stats.drafted), 1e-6);
    EXPECT_NEAR(
        stats.verify_s,
        1.05 * static_cast<double>(stats.rounds) + 0.05 * static_cast<double>(stats.drafted), 1e-6);
    EXPECT_NEAR(stats.decode_s, stats.draft_s + stats.verify_s + stats.seal_s + stats.other_s,
                1e-6);
  }
}

// Rounds are cut where a group is sealed, so that an accepted draft may have been a round's last:
// the next position was not reached then, though other rounds drafted it.
TEST(Generate, CountsAPositionOnlyWhereItWasJudged) {
  ToyOptions toy;
  toy.group = 7;
  GenerateOptions options;
  options.max_tokens = 150;
  options.gamma = 3;
  toy.error = 0.0f;
  const GenerateStats perfect = RunToy(toy, options).result.stats;
  EXPECT_EQ(perfect.reached_by_position, perfect.drafted_by_position);
  EXPECT_EQ(perfect.reached_by_position, perfect.accepted_by_position);
  EXPECT_LT(perfect.reached_by_position[2], perfect.accepted_by_position[1]);
}

TEST(Generate, APerfectDraftIsAcceptedWhole) {
  ToyOptions toy;
  toy.error = 0.0f;
  for (const VerifyRule rule : {VerifyRule::kCoupled, VerifyRule::kRejection}) {
    for (const float temperature : {0.0f, 1.0f}) {
      GenerateOptions options;
      options.max_tokens = 100;
      options.gamma = 4;
      options.sampling.temperature = temperature;
      options.sampling.verify = rule;
      const Outcome outcome = RunToy(toy, options);
      EXPECT_EQ(outcome.violation, "");
      EXPECT_EQ(outcome.result.stats.accepted, outcome.result.stats.drafted);
      EXPECT_EQ(outcome.result.tokens.size(), 100u);
    }
  }
}

TEST(Generate, RejectionIsReproducibleForAFixedGamma) {
  ToyOptions toy;
  GenerateOptions options;
  options.max_tokens = 100;
  options.gamma = 3;
  options.sampling.temperature = 1.0f;
  options.sampling.verify = VerifyRule::kRejection;
  const Outcome first = RunToy(toy, options);
  ExpectSame(first, RunToy(toy, options));
  options.sampling.seed = 1;
  EXPECT_NE(RunToy(toy, options).result.tokens, first.result.tokens);
}

TEST(Generate, RefusesOptionsOutOfRangeBeforeDoingAnything) {
  const auto refuses = [](const GenerateOptions& options) {
    try {
      RunToy({}, options);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kUsage;
    }
    return false;
  };
  GenerateOptions options;
  options.gamma = 17;
  EXPECT_TRUE(refuses(options));
  options.gamma = -2;
  EXPECT_TRUE(refuses(options));
  options = {};
  options.max_tokens = -1;
  EXPECT_TRUE(refuses(options));
  options = {};
  options.sampling.top_p = 1.5f;
  EXPECT_TRUE(refuses(options));
  EXPECT_FALSE(refuses({}));
}

}  // namespace
}  // namespace quantspec
