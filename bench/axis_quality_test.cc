// Rounding along either axis, and that it is what the scores see.
#include "bench/axis_quality.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace quantspec {
namespace {

TEST(RoundToLevels, KeepsTheEndsAndRoundsToTheNearestLevel) {
  std::vector<float> values = {0, 9, 4, 9, 5.1f, 9, 15, 9};
  RoundToLevels(values.data(), 4, 2, 2);
  EXPECT_EQ(values, (std::vector<float>{0, 9, 5, 9, 5, 9, 15, 9}));
  std::vector<float> same = {3, 3, 3};
  RoundToLevels(same.data(), 3, 1, 4);
  EXPECT_EQ(same, (std::vector<float>{3, 3, 3}));
}

TEST(RoundedCache, RoundsWholeGroupsAlongItsAxesAndLeavesTheNewestAlone) {
  const auto backend = MakeReferenceBackend();
  KvCacheSpec spec;
  spec.kind = CacheKind::kFull;
  spec.dense_type = KvType::kF32;
  spec.geometry = {2, 16};
  spec.layers = 1;
  spec.context = 512;
  RoundedCache cache(spec, {QuantAxis::kChannel, QuantAxis::kToken, 1}, *backend);
  const int width = 32;
  std::vector<float> k, v;
  for (int i = 0; i < 300 * width; ++i) {
    k.push_back(std::sin(static_cast<float>(i * i % 1009)));
    v.push_back(std::cos(static_cast<float>(i * 7 % 1013)));
  }
  cache.Extend(300);
  backend->StoreKv(ConstRows(k.data(), 300, width), ConstRows(v.data(), 300, width), spec.geometry,
                   cache.View(0).dense[0], 0);
  cache.Commit(*backend, RowKind::kDecode);
  EXPECT_EQ(cache.rounded(), 128);
  std::vector<float> k_row(width), v_row(width);
  // One bit: a channel of keys has two values over the group, a token's head of values two.
  std::vector<float> least(width, 9), most(width, -9);
  for (int t = 0; t < 128; ++t) {
    for (int c = 0; c < width; ++c) {
      least[static_cast<size_t>(c)] =
          std::min(least[static_cast<size_t>(c)], k[static_cast<size_t>(t * width + c)]);
      most[static_cast<size_t>(c)] =
          std::max(most[static_cast<size_t>(c)], k[static_cast<size_t>(t * width + c)]);
    }
  }
  for (int t = 0; t < 300; ++t) {
    backend->LoadKv(spec.geometry, cache.View(0).dense[0], t, k_row.data(), v_row.data());
    for (int c = 0; c < width; ++c) {
      const auto at = static_cast<size_t>(c);
      const float own = k[static_cast<size_t>(t * width + c)];
      if (t >= 128) {
        EXPECT_EQ(k_row[at], own);
        EXPECT_EQ(v_row[at], v[static_cast<size_t>(t * width + c)]);
      } else {
        EXPECT_TRUE(k_row[at] == least[at] || std::abs(k_row[at] - most[at]) < 1e-6f)
            << t << " " << c;
      }
    }
    if (t < 128) {
      const auto [low, high] = std::minmax_element(v_row.begin(), v_row.begin() + 16);
      for (int c = 0; c < 16; ++c) {
        EXPECT_TRUE(v_row[static_cast<size_t>(c)] == *low ||
                    v_row[static_cast<size_t>(c)] == *high);
      }
    }
  }
}

TEST(ScoreAxes, MoreBitsComeNearerToFloats) {
  EngineOptions options;
  options.model_path = std::string(QS_GOLDEN_DIR) + "/models/llama-long.gguf";
  options.threads = 1;
  const auto engine = Engine::Load(ModelFile::Open(options));
  PerplexityText text;
  text.window = 500;
  for (int i = 0; i < 1000; ++i) text.tokens.push_back((i * 29 + i / 7 * 13 + 3) % 250);
  const QuantAxes axes[] = {{QuantAxis::kChannel, QuantAxis::kToken, 1},
                            {QuantAxis::kChannel, QuantAxis::kToken, 8},
                            {QuantAxis::kToken, QuantAxis::kChannel, 1}};
  const AxisScores scores = ScoreAxes(*engine, text, axes);
  ASSERT_EQ(scores.rounded.size(), 3u);
  const double floats = scores.floats.mean_error().mean;
  const auto difference = [&](size_t i) {
    return std::abs(scores.rounded[i].mean_error().mean - floats);
  };
  EXPECT_EQ(scores.floats.count(), 2 * 499);
  EXPECT_EQ(scores.rounded_targets, 2 * (499 - 256));
  EXPECT_LT(difference(1), 1e-3);
  EXPECT_GT(difference(0), difference(1));
  EXPECT_NE(scores.rounded[0].mean_error().mean, scores.rounded[2].mean_error().mean);
  // What the caller stops is what there is.
  const AxisScores none = ScoreAxes(*engine, text, axes, [](double) { return false; });
  EXPECT_TRUE(none.rounded.empty());
}

}  // namespace
}  // namespace quantspec
