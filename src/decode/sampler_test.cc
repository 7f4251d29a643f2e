#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "decode/gumbel_noise.h"
#include "decode/logit_blocks.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> RandomLogits(int vocab, uint64_t seed, float spread = 12.0f) {
  std::vector<float> logits(static_cast<size_t>(vocab));
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = spread * static_cast<float>(RandomUniform(seed, 0, i) + RandomUniform(seed, 1, i) +
                                            RandomUniform(seed, 2, i)) -
                spread;
  }
  return logits;
}

// The filters written down plainly: sort everything.
std::vector<double> FilteredByHand(std::vector<float> logits, const SamplingOptions& options,
                                   const std::vector<Token>& context) {
  const std::vector<float> original = logits;
  const size_t window =
      std::min<size_t>(context.size(), static_cast<size_t>(options.repeat_window));
  for (size_t i = context.size() - window; i < context.size(); ++i) {
    const size_t t = static_cast<size_t>(context[i]);
    logits[t] = original[t] > 0 ? original[t] / options.repeat_penalty
                                : original[t] * options.repeat_penalty;
  }
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  const double largest = logits[order[0]];
  const auto weight = [&](size_t i) {
    return std::exp((logits[i] - largest) / static_cast<double>(options.temperature));
  };
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < order.size()) {
    order.resize(static_cast<size_t>(options.top_k));
  }
  double whole = 0;
  for (const size_t i : order) whole += weight(i);
  if (options.top_p < 1.0f) {
    double sum = 0;
    size_t kept = 0;
    while (kept < order.size() && (kept == 0 || sum < options.top_p * whole)) {
      sum += weight(order[kept++]);
    }
    order.resize(kept);
  }
  std::vector<double> result(logits.size());
  double sum = 0;
  for (const size_t i : order) {
    if (weight(i) >= options.min_p * (1 - 1e-12)) sum += result[i] = weight(i);
  }
  for (double& p : result) p /= sum;
  return result;
}

std::vector<SamplingOptions> FilterCases() {
  std::vector<SamplingOptions> cases;
  for (const float temperature : {0.3f, 1.0f, 3.0f}) {
    for (const int top_k : {0, 1, 7, 100, 5000}) {
      for (const float top_p : {1.0f, 0.95f, 0.5f, 0.0f}) {
        for (const float min_p : {0.0f, 0.02f}) {
          SamplingOptions options;
          options.temperature = temperature;
          options.top_k = top_k;
          options.top_p = top_p;
          options.min_p = min_p;
          options.repeat_penalty = top_k == 7 ? 1.5f : 1.0f;
          options.repeat_window = 4;
          cases.push_back(options);
        }
      }
    }
  }
  return cases;
}

// The largest of every `pack` logits of one row.
struct OwnMaxima {
  std::vector<float> values;
  int pack;

  operator PackMaxima() const { return {values, values.empty() ? 0 : pack}; }  // NOLINT
};
OwnMaxima MaximaOf(const std::vector<float>& logits, int pack = 16) {
  OwnMaxima maxima{{}, pack};
  for (size_t i = 0; i < logits.size(); ++i) {
    if (i % static_cast<size_t>(pack) == 0) maxima.values.push_back(-kInfinity);
    if (logits[i] > maxima.values.back()) maxima.values.back() = logits[i];
  }
  return maxima;
}

TEST(Sampler, FiltersAreThoseOfTheirDefinition) {
  const std::vector<Token> context = {9, 0, 2, 2, 1, 3};
  for (const int vocab : {5, 127, 128, 129, 4000}) {
    Sampler sampler(vocab, vocab);
    const std::vector<float> logits = RandomLogits(vocab, static_cast<uint64_t>(vocab));
    std::vector<float> found(logits.size());
    for (const SamplingOptions& options : FilterCases()) {
      SCOPED_TRACE("vocab " + std::to_string(vocab) + " k " + std::to_string(options.top_k) +
                   " p " + std::to_string(options.top_p) + " min " + std::to_string(options.min_p) +
                   " t " + std::to_string(options.temperature));
      const std::vector<double> expected =
          FilteredByHand(logits, options, vocab > 9 ? context : std::vector<Token>{0, 2});
      sampler.Configure(options);
      sampler.Read(logits, vocab > 9 ? context : std::vector<Token>{0, 2});
      sampler.Probabilities(found);
      for (size_t i = 0; i < found.size(); ++i) {
        // exp(-87) and less may have become 0.
        if (expected[i] == 0 || expected[i] > 1e-30) {
          ASSERT_EQ(found[i] > 0, expected[i] > 0) << i;
        }
        ASSERT_NEAR(found[i], expected[i], 1e-5 * expected[i] + 1e-30) << i;
      }
      // Maxima that are at hand say the same.
      std::vector<float> again(logits.size());
      sampler.Read(logits, vocab > 9 ? context : std::vector<Token>{0, 2},
                   MaximaOf(logits, options.top_k == 1 ? 32 : 16));
      sampler.Probabilities(again);
      ASSERT_EQ(again, found);
      // Whatever is chosen has passed the filters.
      for (uint64_t position = 0; position < 20; ++position) {
        ASSERT_GT(expected[static_cast<size_t>(sampler.Choose(position))], 0);
      }
    }
  }
}

TEST(Sampler, ChoiceIsTheArgmaxOfLogitsPlusNoiseOverTheWholeVocabulary) {
  for (const int vocab : {3, 128, 1000, 50021}) {
    Sampler sampler(vocab, vocab);
    for (const float temperature : {0.2f, 1.0f, 20.0f}) {
      SamplingOptions options;
      options.temperature = temperature;
      options.seed = 99;
      sampler.Configure(options);
      for (uint64_t position = 0; position < 8; ++position) {
        const std::vector<float> logits = RandomLogits(vocab, position);
        const GumbelNoise noise(options.seed, position);
        Token best = 0;
        double best_key = -kInfinity;
        for (Token t = 0; t < vocab; ++t) {
          const double key =
              static_cast<double>(logits[static_cast<size_t>(t)]) / temperature + noise.Gumbel(t);
          if (key > best_key) {
            best_key = key;
            best = t;
          }
        }
        sampler.Read(logits, {});
        EXPECT_EQ(sampler.Choose(position), best);
      }
    }
  }
}

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  Sampler sampler(300, 300);
  sampler.Configure({});
  std::vector<float> logits(300, 1.0f);
  logits[131] = logits[140] = logits[290] = 2.0f;
  logits[4] = std::numeric_limits<float>::quiet_NaN();
  for (const OwnMaxima& maxima : {OwnMaxima{}, MaximaOf(logits)}) {
    sampler.Read(logits, {}, maxima);
    EXPECT_EQ(sampler.Choose(0), 131);
  }
  logits.assign(300, -5.0f);
  for (const OwnMaxima& maxima : {OwnMaxima{}, MaximaOf(logits)}) {
    sampler.Read(logits, {}, maxima);
    EXPECT_EQ(sampler.Choose(0), 0);
  }
}

TEST(Sampler, NoiseDependsOnSeedAndPositionAndNothingElse) {
  Sampler sampler(1000, 1000);
  const std::vector<float> logits(1000, 0.0f);
  const auto choose = [&](uint64_t seed, uint64_t position) {
    SamplingOptions options;
    options.temperature = 1.0f;
    options.seed = seed;
    sampler.Configure(options);
    sampler.Read(logits, {});
    return sampler.Choose(position);
  };
  EXPECT_EQ(choose(1, 5), choose(1, 5));
  int same_position = 0;
  int same_seed = 0;
  for (uint64_t i = 0; i < 50; ++i) {
    same_position += choose(i, 3) == choose(i + 1, 3);
    same_seed += choose(3, i) == choose(3, i + 1);
  }
  EXPECT_LE(same_position, 3);
  EXPECT_LE(same_seed, 3);
}

TEST(GumbelNoise, IsStandardGumbelIndependentOfPlaceInBlock) {
  // Exp(1) = exp(-Gumbel): mean 1, variance 1, also for single places of a block; neighbours are
  // uncorrelated.
  double sum = 0;
  double squares = 0;
  double neighbours = 0;
  std::vector<double> by_place(kLogitBlock);
  constexpr int kPositions = 2000;
  for (uint64_t position = 0; position < kPositions; ++position) {
    const GumbelNoise noise(7, position);
    double before = 0;
    for (Token t = 0; t < 2 * kLogitBlock; ++t) {
      const double e = std::exp(-noise.Gumbel(t));
      sum += e;
      squares += e * e;
      neighbours += t > 0 ? (e - 1) * (before - 1) : 0;
      by_place[static_cast<size_t>(t % kLogitBlock)] += e;
      before = e;
    }
  }
  const double n = kPositions * 2.0 * kLogitBlock;
  EXPECT_NEAR(sum / n, 1.0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 2.0, 5 * std::sqrt(20 / n));
  EXPECT_NEAR(neighbours / n, 0.0, 5 / std::sqrt(n));
  for (const double place : by_place) {
    EXPECT_NEAR(place / (2 * kPositions), 1.0, 5 / std::sqrt(2.0 * kPositions));
  }
}

TEST(Sampler, NeverChoosesNanAndNeverHangs) {
  for (const int vocab : {1, 4, 128, 515}) {
    Sampler sampler(vocab, vocab);
    for (const SamplingOptions& options : FilterCases()) {
      sampler.Configure(options);
      std::vector<float> p(static_cast<size_t>(vocab));
      for (int broken = 0; broken < 7; ++broken) {
        std::vector<float> logits = RandomLogits(vocab, 5);
        const size_t last = logits.size() - 1;
        if (broken == 0) logits[last] = kNan;
        if (broken == 1) std::fill(logits.begin(), logits.end(), kNan);
        if (broken == 2) std::fill(logits.begin(), logits.end(), -kInfinity);
        if (broken == 3) logits[last] = kInfinity;
        if (broken == 4) std::fill(logits.begin(), logits.begin() + vocab / 2, -kInfinity);
        if (broken == 5) logits[last] = std::numeric_limits<float>::max();
        if (broken == 6) std::fill(logits.begin(), logits.end(), kInfinity);
        sampler.Read(logits, {}, {}, NotFinite::kAllow);
        for (uint64_t position = 0; position < 3; ++position) {
          const Token token = sampler.Choose(position);
          ASSERT_TRUE(token >= 0 && token < vocab);
          const bool all_nan = broken == 1 || (broken == 0 && vocab == 1);
          ASSERT_TRUE(all_nan || !std::isnan(logits[static_cast<size_t>(token)]));
        }
        sampler.Probabilities(p);
        EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), 1.0, 1e-4);
      }
    }
  }
}

// 300 rows of an embedding, 260 tokens: the others have the largest logits here, and no maximum of
// a pack or block may bring them back.
TEST(Sampler, IdsWithoutATokenAreAsGoodAsNotThere) {
  const std::vector<Token> context = {3, 270, 259, 1};
  for (const auto& [vocab, tokens] : {std::pair{300, 260}, std::pair{300, 256}, std::pair{300, 1},
                                      std::pair{129, 128}, std::pair{1000, 999}}) {
    SCOPED_TRACE(std::to_string(tokens) + " tokens in " + std::to_string(vocab) + " rows");
    Sampler padded(vocab, tokens), exact(tokens, tokens);
    std::vector<float> logits = RandomLogits(vocab, 3);
    for (int i = tokens; i < vocab; ++i) logits[static_cast<size_t>(i)] = 100.0f + i % 7;
    const std::vector<float> known(logits.begin(), logits.begin() + tokens);
    std::vector<float> of_padded(logits.size(), 9.0f), of_exact(known.size());
    std::vector<SamplingOptions> cases = FilterCases();
    cases.push_back({});  // greedy
    for (const SamplingOptions& options : cases) {
      padded.Configure(options);
      exact.Configure(options);
      exact.Read(known, context);
      for (const OwnMaxima& maxima : {OwnMaxima{}, MaximaOf(logits), MaximaOf(logits, 128)}) {
        padded.Read(logits, context, maxima);
        for (uint64_t position = 0; position < 40; ++position) {
          ASSERT_EQ(padded.Choose(position), exact.Choose(position));
        }
        if (options.temperature == 0) continue;
        padded.Probabilities(of_padded);
        exact.Probabilities(of_exact);
        for (size_t i = 0; i < of_padded.size(); ++i) {
          ASSERT_EQ(of_padded[i], i < of_exact.size() ? of_exact[i] : 0.0f) << i;
        }
      }
    }
  }
}

TEST(Sampler, LogitsThatAreNotFiniteAreAnErrorThatSaysWhere) {
  const std::vector<Token> context(37, 1);
  for (const int tokens : {300, 260}) {
    Sampler sampler(300, tokens);
    for (const float temperature : {0.0f, 1.0f}) {
      SamplingOptions options;
      options.temperature = temperature;
      sampler.Configure(options);
      for (const float bad : {kNan, -kInfinity, kInfinity}) {
        // Finite ones without a token do not help.
        std::vector<float> logits(300, 1.0f);
        std::fill(logits.begin(), logits.begin() + tokens, bad);
        for (const OwnMaxima& maxima : {OwnMaxima{}, MaximaOf(logits)}) {
          try {
            sampler.Read(logits, context, maxima);
            ADD_FAILURE() << bad;
          } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
            EXPECT_NE(std::string(error.what()).find("position 37"), std::string::npos);
            EXPECT_NE(std::string(error.what()).find("not finite"), std::string::npos);
          }
          // A draft may be nonsense: its target judges it.
          sampler.Read(logits, context, maxima, NotFinite::kAllow);
          EXPECT_EQ(sampler.Choose(37), 0);
        }
        // One usable logit is enough.
        if (bad == kInfinity) continue;
        logits[7] = -3.0f;
        sampler.Read(logits, context);
        EXPECT_EQ(sampler.Choose(37), 7);
      }
    }
  }
}

TEST(Sampler, TinyTemperaturesAreGreedy) {
  Sampler sampler(500, 500);
  SamplingOptions options;
  options.temperature = std::numeric_limits<float>::denorm_min();
  sampler.Configure(options);
  std::vector<float> logits = RandomLogits(500, 3);
  logits[77] = 40.0f;
  sampler.Read(logits, {});
  for (uint64_t position = 0; position < 20; ++position) EXPECT_EQ(sampler.Choose(position), 77);
}

TEST(Sampler, NamesTheOptionThatIsOutOfRange) {
  const auto message = [](const SamplingOptions& options) -> std::string {
    try {
      CheckSampling(options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({}), "");
  SamplingOptions options;
  options.temperature = kNan;
  EXPECT_NE(message(options).find("temperature"), std::string::npos);
  options = {};
  options.top_k = -1;
  EXPECT_NE(message(options).find("top-k"), std::string::npos);
  options = {};
  options.min_p = 2;
  EXPECT_NE(message(options).find("min-p"), std::string::npos);
  options = {};
  options.repeat_penalty = 0;
  EXPECT_NE(message(options).find("repeat penalty"), std::string::npos);
  options = {};
  options.repeat_window = -3;
  EXPECT_NE(message(options).find("repeat window"), std::string::npos);
}

TEST(LogitBlocks, PickByMassReachesEveryIndexWithMassAndNoOther) {
  const std::vector<float> a = {0.0f, 0.25f, 0.5f, 0.25f, 0.0f};
  const std::vector<float> b = {0.1f, 0.25f, 0.0f, 0.0f, 0.1f};
  EXPECT_EQ(PickByMass(a, {}, 0.0), 1);
  EXPECT_EQ(PickByMass(a, {}, 0.3), 2);
  EXPECT_EQ(PickByMass(a, {}, 0.8), 3);
  EXPECT_EQ(PickByMass(a, {}, 1.0), 3);
  EXPECT_EQ(PickByMass(a, b, 0.0), 2);
  EXPECT_EQ(PickByMass(a, b, 0.7), 3);
  EXPECT_EQ(PickByMass(a, a, 0.5), -1);
}

}  // namespace
}  // namespace quantspec
