// Biases, penalties and log-probabilities: what changes or reports a distribution before a token is
// chosen from it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "decode/generate.h"
#include "decode/sampler.h"
#include "decode/token_logprobs.h"
#include "decode/toy_model.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr int kVocab = 300;

std::vector<float> RandomLogits(uint64_t seed) {
  std::vector<float> logits(kVocab);
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>(8 * RandomUniform(seed, 0, i) - 4);
  }
  return logits;
}

// The probabilities that a sampler makes of `logits`.
std::vector<float> Shaped(const std::vector<float>& logits, const SamplingOptions& options,
                          const std::vector<Token>& context, size_t history) {
  Sampler sampler(kVocab, kVocab);
  sampler.Configure(options, history);
  sampler.Read(logits, context);
  std::vector<float> probabilities(kVocab);
  sampler.Probabilities(probabilities);
  return probabilities;
}

// The same written down plainly.
std::vector<float> ShapedByHand(std::vector<float> logits, const SamplingOptions& options,
                                const std::vector<Token>& context, size_t history) {
  for (const LogitBias& bias : options.logit_bias) {
    logits[static_cast<size_t>(bias.token)] += bias.bias;
  }
  std::map<Token, int> in_window, generated;
  const size_t window = std::min(context.size(), static_cast<size_t>(options.repeat_window));
  for (size_t i = context.size() - window; i < context.size(); ++i) ++in_window[context[i]];
  for (size_t i = history; i < context.size(); ++i) ++generated[context[i]];
  for (const auto& [token, count] : in_window) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / options.repeat_penalty : logit * options.repeat_penalty;
  }
  for (const auto& [token, count] : generated) {
    logits[static_cast<size_t>(token)] -=
        options.presence_penalty + options.frequency_penalty * static_cast<float>(count);
  }
  double sum = 0;
  std::vector<float> probabilities;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  for (const float logit : logits) {
    probabilities.push_back(static_cast<float>(std::exp(static_cast<double>(logit)) / sum));
  }
  return probabilities;
}

TEST(Sampler, AdjustsLogitsAsWrittenDown) {
  const std::vector<Token> context = {7, 9, 7, 200, 11, 7, 9, 200, 200, 13};
  for (int which = 0; which < 5; ++which) {
    SamplingOptions options;
    options.temperature = 1;
    if (which == 0 || which == 4) options.logit_bias = {{5, 3.0f}, {7, -2.5f}, {299, 1.0f}};
    if (which == 1 || which == 4) options.presence_penalty = 1.25f;
    if (which == 2 || which == 4) options.frequency_penalty = -0.5f;
    if (which == 3 || which == 4) options.repeat_penalty = 1.3f;
    const std::vector<float> logits = RandomLogits(static_cast<uint64_t>(which));
    const auto found = Shaped(logits, options, context, 4);
    const auto expected = ShapedByHand(logits, options, context, 4);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(found[i], expected[i], 1e-4f * expected[i] + 1e-9f) << which << ", token " << i;
    }
  }
}

TEST(Sampler, PenalisesWhatWasGeneratedAlone) {
  SamplingOptions options;
  options.temperature = 1;
  options.presence_penalty = 2;
  const std::vector<float> logits = RandomLogits(1);
  SamplingOptions none;
  none.temperature = 1;
  const std::vector<Token> prompt = {1, 2, 3, 4};
  EXPECT_EQ(Shaped(logits, options, prompt, 4), Shaped(logits, none, prompt, 4));
  EXPECT_NE(Shaped(logits, options, prompt, 3), Shaped(logits, none, prompt, 3));
}

TEST(Sampler, RefusesAdjustmentsOutOfRange) {
  SamplingOptions options;
  options.logit_bias = {{1, 101.0f}};
  EXPECT_THROW(CheckSampling(options), Error);
  options.logit_bias = {{1, std::nanf("")}};
  EXPECT_THROW(CheckSampling(options), Error);
  options = {};
  options.presence_penalty = 2.5f;
  EXPECT_THROW(CheckSampling(options), Error);
  options = {};
  options.frequency_penalty = -2.5f;
  EXPECT_THROW(CheckSampling(options), Error);
}

struct Told {
  std::vector<Token> tokens;
  std::vector<std::vector<TokenLogprob>> logprobs;
};

// A generation over the toy model that keeps every token's log-probabilities.
Told Tell(const GenerateOptions& options) {
  ToyOptions toy;
  toy.vocab = 40;
  ToyModel model(toy);
  Decoding decoding(toy.vocab, toy.vocab);
  std::vector<Token> tokens = {3, 1, 4, 1, 5};
  decoding.Start(&tokens, options, {}, {});
  decoding.AcceptFirst(model.Prefill(tokens));
  Told told;
  const auto keep = [&] {
    const auto fresh = decoding.NewTokens();
    for (size_t i = 0; i < fresh.size(); ++i) {
      told.tokens.push_back(fresh[i]);
      const auto scores = decoding.NewLogprobs(static_cast<int>(i));
      told.logprobs.emplace_back(scores.begin(), scores.end());
    }
  };
  keep();
  while (!decoding.finished()) {
    const auto wanted = decoding.Next(model.Room());
    if (!wanted) break;
    model.Truncate(wanted->position);
    model.Step(wanted->reader, wanted->tokens,
               [&](const LogitRows& logits) { decoding.Accept(logits, 1e-3); });
    if (wanted->reader == Reader::kDraft) continue;
    keep();
    model.Commit(static_cast<int>(tokens.size()) - 1);
    decoding.EndRound(0);
  }
  EXPECT_EQ(model.violation, "");
  return told;
}

bool Equal(const Told& a, const Told& b) {
  if (a.tokens != b.tokens || a.logprobs.size() != b.logprobs.size()) return false;
  for (size_t i = 0; i < a.logprobs.size(); ++i) {
    if (!std::equal(a.logprobs[i].begin(), a.logprobs[i].end(), b.logprobs[i].begin(),
                    b.logprobs[i].end(), [](const TokenLogprob& x, const TokenLogprob& y) {
                      return x.token == y.token && x.logprob == y.logprob;
                    })) {
      return false;
    }
  }
  return true;
}

TEST(Decoding, BiasesPenaltiesAndLogprobsDoNotDependOnGamma) {
  for (const float temperature : {0.0f, 0.9f}) {
    GenerateOptions options;
    options.max_tokens = 90;
    options.logprobs = 3;
    options.sampling.temperature = temperature;
    options.sampling.presence_penalty = 0.7f;
    options.sampling.frequency_penalty = 0.4f;
    options.sampling.logit_bias = {{2, 4.0f}, {3, -100.0f}};
    options.gamma = 0;
    const Told plain = Tell(options);
    ASSERT_EQ(plain.tokens.size(), 90u);
    EXPECT_EQ(std::count(plain.tokens.begin(), plain.tokens.end(), 3), 0);
    for (const auto& scores : plain.logprobs) EXPECT_EQ(scores.size(), 4u);
    for (const int gamma : {1, 2, 5, 16, kGammaAuto}) {
      options.gamma = gamma;
      EXPECT_TRUE(Equal(Tell(options), plain)) << "gamma " << gamma << " at " << temperature;
    }
    GenerateOptions free = options;
    free.sampling.presence_penalty = free.sampling.frequency_penalty = 0;
    free.sampling.logit_bias.clear();
    EXPECT_NE(Tell(free).tokens, plain.tokens) << "the adjustments changed nothing";
  }
}

TEST(Decoding, TellsNoLogprobsUnlessAsked) {
  GenerateOptions options;
  options.max_tokens = 10;
  for (const auto& scores : Tell(options).logprobs) EXPECT_TRUE(scores.empty());
  options.logprobs = 0;
  for (const auto& scores : Tell(options).logprobs) EXPECT_EQ(scores.size(), 1u);
  options.logprobs = kMaxLogprobs + 1;
  EXPECT_THROW(Tell(options), Error);
}

TEST(AppendLogprobs, RanksAllTokens) {
  const std::vector<float> logits = {
      1.0f, 3.0f, std::nanf(""), 3.0f, -std::numeric_limits<float>::infinity(), 2.0f};
  std::vector<TokenLogprob> out;
  AppendLogprobs(logits, 5, 20, &out);
  std::vector<Token> order;
  for (const TokenLogprob& one : out) order.push_back(one.token);
  EXPECT_EQ(order, (std::vector<Token>{5, 1, 3, 5, 0}));
  const double sum = std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0);
  EXPECT_NEAR(out[0].logprob, 2.0 - std::log(sum), 1e-4);
  EXPECT_NEAR(out[1].logprob, 3.0 - std::log(sum), 1e-4);
  out.clear();
  AppendLogprobs(logits, 0, 2, &out);
  EXPECT_EQ(out.size(), 3u);
  EXPECT_EQ(out[2].token, 3);
}

}  // namespace
}  // namespace quantspec
