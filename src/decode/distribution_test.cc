// What is emitted is distributed as the target's filtered distribution: chi-square tests of both
// rules over three positions at once, and that a wrong rule fails them. All seeds are fixed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "decode/generate.h"
#include "decode/toy_model.h"
#include "decode/verify_rule.h"

namespace quantspec {
namespace {

constexpr int kRuns = 10000;
const std::vector<Token> kPrompt = {2, 0, 1};

ToyOptions SmallToy() {
  ToyOptions toy;
  toy.vocab = 6;
  toy.context = 32;
  toy.memory = 2;
  toy.spread = 3.0f;
  toy.error = 3.0f;
  return toy;
}

// Filtered target distribution after `tokens`.
std::vector<float> Target(const ToyModel& model, Sampler* sampler, const std::vector<Token>& tokens,
                          Reader reader = Reader::kTarget) {
  const std::vector<float> logits = model.Logits(tokens, reader);
  std::vector<float> p(logits.size());
  sampler->Read(logits, tokens);
  sampler->Probabilities(p);
  return p;
}

// Probability of each of the vocab^3 continuations of the prompt.
std::vector<double> Expected(const ToyOptions& toy, const SamplingOptions& sampling) {
  const ToyModel model(toy);
  Sampler sampler(toy.vocab, toy.vocab);
  sampler.Configure(sampling);
  std::vector<double> result;
  for (Token a = 0; a < toy.vocab; ++a) {
    for (Token b = 0; b < toy.vocab; ++b) {
      for (Token c = 0; c < toy.vocab; ++c) {
        std::vector<Token> tokens = kPrompt;
        double p = 1;
        for (const Token next : {a, b, c}) {
          p *= Target(model, &sampler, tokens)[static_cast<size_t>(next)];
          tokens.push_back(next);
        }
        result.push_back(p);
      }
    }
  }
  return result;
}

size_t Cell(const std::vector<Token>& tokens, int vocab) {
  return static_cast<size_t>((tokens[0] * vocab + tokens[1]) * vocab + tokens[2]);
}

// Chi-square of the counts in units of standard deviations above its mean; cells that expect fewer
// than 5 are pooled. Infinite if something impossible happened.
double ChiSquareSigmas(const std::vector<double>& expected, const std::vector<int>& counts) {
  const double runs = std::accumulate(counts.begin(), counts.end(), 0.0);
  double chi = 0;
  int cells = 0;
  double rare_expected = 0;
  double rare_count = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double e = expected[i] * runs;
    if (e == 0 && counts[i] > 0) return std::numeric_limits<double>::infinity();
    if (e < 5) {
      rare_expected += e;
      rare_count += counts[i];
      continue;
    }
    chi += (counts[i] - e) * (counts[i] - e) / e;
    ++cells;
  }
  if (rare_expected >= 5) {
    chi += (rare_count - rare_expected) * (rare_count - rare_expected) / rare_expected;
    ++cells;
  }
  const double freedom = cells - 1;
  return freedom > 0 ? (chi - freedom) / std::sqrt(2 * freedom) : 0;
}

std::vector<int> Emitted(const ToyOptions& toy, GenerateOptions options) {
  std::vector<int> counts(static_cast<size_t>(toy.vocab * toy.vocab * toy.vocab));
  options.max_tokens = 8;  // so that no round is cut short by the limit
  Decoding decoding(toy.vocab, toy.vocab);
  for (int run = 0; run < kRuns; ++run) {
    ToyModel model(toy);
    options.sampling.seed = static_cast<uint64_t>(run);
    std::vector<Token> tokens = kPrompt;
    const GenerateResult result =
        Generate(decoding, model, {&tokens, model.Prefill(kPrompt), options, {}, {}, {}});
    ++counts[Cell(result.tokens, toy.vocab)];
  }
  return counts;
}

std::vector<SamplingOptions> Cases() {
  std::vector<SamplingOptions> cases(6);
  for (SamplingOptions& options : cases) options.temperature = 1.0f;
  cases[1].temperature = 0.5f;
  cases[2].top_k = 3;
  cases[3].top_p = 0.8f;
  cases[4].min_p = 0.2f;
  cases[5].repeat_penalty = 1.7f;
  cases[5].top_p = 0.9f;
  return cases;
}

TEST(Distribution, EmittedTokensAreDistributedAsTheFilteredTarget) {
  const ToyOptions toy = SmallToy();
  for (const VerifyRule rule : {VerifyRule::kCoupled, VerifyRule::kRejection}) {
    for (SamplingOptions sampling : Cases()) {
      sampling.verify = rule;
      const std::vector<double> expected = Expected(toy, sampling);
      for (const int gamma : {0, 1, 4}) {
        SCOPED_TRACE("rule " + std::to_string(static_cast<int>(rule)) + " gamma " +
                     std::to_string(gamma) + " t " + std::to_string(sampling.temperature) + " k " +
                     std::to_string(sampling.top_k) + " p " + std::to_string(sampling.top_p));
        GenerateOptions options;
        options.gamma = gamma;
        options.sampling = sampling;
        EXPECT_LT(ChiSquareSigmas(expected, Emitted(toy, options)), 4.0);
      }
    }
  }
}

TEST(Distribution, TheTestSeesAWrongFilterOrTemperature) {
  const ToyOptions toy = SmallToy();
  GenerateOptions options;
  options.gamma = 4;
  options.sampling.temperature = 1.0f;
  SamplingOptions other = options.sampling;
  other.temperature = 1.3f;
  EXPECT_GT(ChiSquareSigmas(Expected(toy, other), Emitted(toy, options)), 10.0);
  other = options.sampling;
  other.top_k = 5;
  EXPECT_GT(ChiSquareSigmas(Expected(toy, other), Emitted(toy, options)), 10.0);
}

// One drafted token judged by the rule and by two wrong ones.
TEST(Distribution, TheTestSeesAWrongRule) {
  const ToyOptions toy = SmallToy();
  const ToyModel model(toy);
  Sampler sampler(toy.vocab, toy.vocab);
  SamplingOptions sampling;
  sampling.temperature = 1.0f;
  sampler.Configure(sampling);
  const std::vector<float> p = Target(model, &sampler, kPrompt);
  const std::vector<float> q = Target(model, &sampler, kPrompt, Reader::kDraft);
  const std::vector<float> target_logits = model.Logits(kPrompt, Reader::kTarget);
  const std::vector<float> draft_logits = model.Logits(kPrompt, Reader::kDraft);
  std::vector<int> right(p.size());
  std::vector<int> from_target(p.size());  // draws from p instead of the residual
  std::vector<int> always(p.size());       // believes the draft
  for (uint64_t run = 0; run < kRuns; ++run) {
    sampler.Read(draft_logits, {});
    const Token drafted = sampler.Choose(run);
    const Verdict verdict = AcceptOrResample(drafted, p, q, 0, run);
    ++right[static_cast<size_t>(verdict.token)];
    ++always[static_cast<size_t>(drafted)];
    sampler.Read(target_logits, {});
    ++from_target[static_cast<size_t>(verdict.accepted ? drafted : sampler.Choose(kRuns + run))];
  }
  const std::vector<double> expected(p.begin(), p.end());
  EXPECT_LT(ChiSquareSigmas(expected, right), 4.0);
  EXPECT_GT(ChiSquareSigmas(expected, from_target), 10.0);
  EXPECT_GT(ChiSquareSigmas(expected, always), 10.0);
}

TEST(Distribution, CoupledAcceptanceIsNearThatOfTheBestCoupling) {
  ToyOptions toy = SmallToy();
  toy.vocab = 40;
  for (const float error : {0.2f, 1.0f, 3.0f, 10.0f}) {
    toy.error = error;
    const ToyModel model(toy);
    Sampler target(toy.vocab, toy.vocab);
    Sampler draft(toy.vocab, toy.vocab);
    SamplingOptions sampling;
    sampling.temperature = 1.0f;
    target.Configure(sampling);
    draft.Configure(sampling);
    const std::vector<float> p = Target(model, &target, kPrompt);
    const std::vector<float> q = Target(model, &draft, kPrompt, Reader::kDraft);
    double distance = 0;
    for (size_t i = 0; i < p.size(); ++i) distance += 0.5 * std::abs(p[i] - q[i]);
    const std::vector<float> target_logits = model.Logits(kPrompt, Reader::kTarget);
    const std::vector<float> draft_logits = model.Logits(kPrompt, Reader::kDraft);
    target.Read(target_logits, {});
    draft.Read(draft_logits, {});
    int coupled = 0;
    int rejection = 0;
    for (uint64_t position = 0; position < kRuns; ++position) {
      const Token drafted = draft.Choose(position);
      coupled += drafted == target.Choose(position);
      rejection += AcceptOrResample(drafted, p, q, 0, position).accepted;
    }
    const double noise = 4 * std::sqrt(0.25 / kRuns);
    EXPECT_GE(static_cast<double>(coupled) / kRuns, (1 - distance) / (1 + distance) - noise);
    EXPECT_LE(static_cast<double>(coupled) / kRuns, 1 - distance + noise);
    EXPECT_NEAR(static_cast<double>(rejection) / kRuns, 1 - distance, noise);
  }
}

}  // namespace
}  // namespace quantspec
