// Attend of every instruction set against the reference.
#include <gtest/gtest.h>

#include <algorithm>

#include "parity/kv.h"

namespace quantspec::testing {
namespace {

class AttentionParity : public Parity {
 protected:
  struct Shape {
    int head_dim = 64;
    int kv_heads = 2;
    int gqa = 3;
    int64_t groups = 0;
    int64_t tail = 0;  // rows, the queries' own included
    int64_t tokens = 1;
    KvType type = KvType::kF16;
    AttendMath math = AttendMath::kCodes;
    bool sink = false;        // the first token takes most of the weight and has hardly any value
    float first_half = 1.0f;  // what the first half of a head's value channels is multiplied by
    bool alike = false;       // two neighbouring channels have the same key, 1 or -1; queries are 1
    float softcap = 0;
  };

  // The share that tokens other than the sink may take together.
  static constexpr double kBesideSink = 0.15;
  // The sink's key and every query in channel 0: a score of 9.
  static constexpr float kSinkQuery = 8.0f;
  static float SinkKey(const Shape& s) {
    return 9.0f * std::sqrt(static_cast<float>(s.head_dim)) / kSinkQuery;
  }

  static void AddSink(const Shape& s, KvData& data, std::vector<float>& q) {
    const int64_t columns = int64_t{s.kv_heads} * s.head_dim;
    for (size_t i = 0; i < data.k.size(); i += static_cast<size_t>(s.head_dim)) data.k[i] = 0.0f;
    for (size_t i = 0; i < q.size(); i += static_cast<size_t>(s.head_dim)) q[i] = kSinkQuery;
    for (int64_t c = 0; c < columns; ++c) {
      data.k[static_cast<size_t>(c)] = c % s.head_dim == 0 ? SinkKey(s) : 0.0f;
      data.v[static_cast<size_t>(c)] = 0.0f;
    }
  }

  static void MakeAlike(KvData& data, std::vector<float>& q) {
    for (size_t i = 0; i + 1 < data.k.size(); i += 2) {
      data.k[i] = data.k[i + 1] = data.k[i] < 0 ? -1.0f : 1.0f;
    }
    std::fill(q.begin(), q.end(), 1.0f);
  }

  template <typename Change>
  static void ForFirstHalves(const Shape& s, std::vector<float>& values, const Change& change) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % static_cast<size_t>(s.head_dim) < static_cast<size_t>(s.head_dim) / 2) {
        values[i] = change(values[i]);
      }
    }
  }
  // In units of their inputs.
  static std::vector<float> Scaled(const Shape& s, std::vector<float> values) {
    ForFirstHalves(s, values, [&](float x) { return s.first_half == 0 ? x : x / s.first_half; });
    return values;
  }

  static std::string Name(const Shape& s) {
    return "head_dim " + std::to_string(s.head_dim) + ", gqa " + std::to_string(s.gqa) +
           ", groups " + std::to_string(s.groups) + ", tail " + std::to_string(s.tail) +
           ", tokens " + std::to_string(s.tokens) + ", " + NameOf(s.math) +
           (s.softcap > 0 ? ", softcap " + std::to_string(s.softcap) : "");
  }

  // Scores are of the order of 1, so weights are spread over many tokens.
  static Tolerance ToleranceOf(const Shape& s, const std::vector<float>& q) {
    const double scale = 1.0 / std::sqrt(s.head_dim);
    const auto seen = static_cast<double>(s.groups * kKvGroup + s.tail - s.tokens + 1);
    // The hyperbolic tangent is one less a fraction, so that its error grows with the cap.
    const double cap = 4 * kRoundoff * s.softcap;
    Tolerance scores = DotTolerance(s.head_dim, s.head_dim * scale) + Tolerance{cap, cap};
    Tolerance weights;
    if (s.groups > 0 && s.math == AttendMath::kCodes) {
      // The step of a key channel is at most 7 (its range in sigmas) * 1.25 / 15; of a value 0.4.
      const double key_step = 7.0 * 1.25 / 15.0;
      const double sink_step = s.sink ? kSinkQuery * SinkKey(s) / 15.0 : 0.0;
      scores =
          scores + CodeDotTolerance(s.head_dim, std::max(Largest(q) * key_step, sink_step) * scale,
                                    127, 1.0);
      // The largest weight of a group, of a token with a score 3 to 4 sigmas above the mean.
      const double largest = std::min(1.0, 32.0 / seen) * (s.sink ? kBesideSink : 1.0);
      weights = std::sqrt(double(s.groups)) * CodeDotTolerance(kKvGroup, 0.4 * largest, 127, 1.0);
    }
    if (s.math == AttendMath::kBf16) {
      // Keys deviate by up to 1.6 from zero (their scale and offset), weights are 1 / seen or so.
      scores = scores + HalfDotTolerance(s.head_dim, 1.6 * scale);
      weights = weights + HalfDotTolerance(seen, 4.0 / seen);
    }
    return (s.sink ? kBesideSink : 1.0) * SoftmaxTolerance(scores, seen) + weights;
  }

  void Check(const Shape& s) {
    const KvGeometry geometry{s.kv_heads, s.head_dim};
    const int q_heads = s.kv_heads * s.gqa;
    Random random(static_cast<uint64_t>(s.head_dim * 1000 + s.groups * 10 + s.tokens));
    const int64_t positions = s.groups * kKvGroup + s.tail;
    KvData data(random, geometry, positions);
    std::vector<float> q = random.Normals(s.tokens * q_heads * s.head_dim);
    if (s.sink) AddSink(s, data, q);
    if (s.alike) MakeAlike(data, q);
    if (s.first_half != 1) {
      ForFirstHalves(s, data.v, [&](float x) { return x * s.first_half; });
    }
    Reserve(AttendLimits(geometry, q_heads, s.tokens, positions));
    OwnedCache fast(*cpu_, geometry, s.type, data, s.groups, s.tail);
    OwnedCache plain(*reference_, geometry, s.type, data, s.groups, s.tail);
    for (const Planes planes : {Planes::kBoth, Planes::kUpper}) {
      GuardedRows actual(s.tokens, q_heads * s.head_dim);
      GuardedRows expected(s.tokens, q_heads * s.head_dim);
      AttendArgs args;
      args.geometry = geometry;
      args.q_heads = q_heads;
      args.scale = static_cast<float>(1.0 / std::sqrt(s.head_dim));
      args.math = s.math;
      args.softcap = s.softcap;
      args.q = View(q, q_heads * s.head_dim);
      const auto attend = [&](Backend& backend, KvView view, Rows out) {
        view.runs[0].planes = planes;
        args.out = out;
        AttendOne(backend, args, {.first_position = positions - s.tokens, .kv = view});
      };
      attend(*cpu_, fast.view, actual.view());
      attend(*reference_, plain.view, expected.view());
      ExpectMatch(Scaled(s, actual.Packed()), Scaled(s, expected.Packed()), ToleranceOf(s, q),
                  Name(s));
      EXPECT_TRUE(actual.GuardsSurvive()) << Name(s);
    }
  }
};

TEST_P(AttentionParity, EveryNumberOfTokens) {
  for (int64_t tokens = 1; tokens <= 17; ++tokens) {
    Check({.groups = 2, .tail = 40, .tokens = tokens});
  }
}

TEST_P(AttentionParity, Prompts) {
  for (const AttendMath math : {AttendMath::kFloat, AttendMath::kBf16}) {
    for (const int64_t tokens : {1, 2, 5, 17, 18, 33, 40, 130}) {
      Check({.groups = 2, .tail = tokens + 22, .tokens = tokens, .math = math});
      Check({.gqa = 1, .tail = tokens, .tokens = tokens, .math = math});
      Check({.tail = tokens + 30, .tokens = tokens, .type = KvType::kF32, .math = math});
      Check({.groups = 1, .tail = tokens, .tokens = tokens, .type = KvType::kF32, .math = math});
    }
    for (const int head_dim : {16, 64, 80, 96, 128, 256}) {
      Check({.head_dim = head_dim, .groups = 1, .tail = 77, .tokens = 19, .math = math});
      Check({.head_dim = head_dim, .groups = 9, .tail = 3, .tokens = 2, .math = math});
    }
    for (const int64_t tail : {15, 16, 31, 63, 64, 127, 128, 129, 255, 257, 1025}) {
      Check({.kv_heads = 1, .tail = tail, .math = math});
    }
  }
  Check({.kv_heads = 1, .tail = 700, .tokens = 700, .math = AttendMath::kFloat});
}

TEST_P(AttentionParity, EveryHeadDimAndGqa) {
  for (const int head_dim : {16, 64, 80, 96, 128, 256}) {
    for (const int gqa : {1, 3, 4, 6, 8}) {
      for (const int64_t tokens : {1, 3}) {
        Check({head_dim, 2, gqa, 1, 20, tokens});
      }
    }
  }
}

TEST_P(AttentionParity, EveryLengthAroundBorders) {
  for (const int64_t tail : {1, 2, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 255, 256, 257}) {
    Check({.tail = tail});
    Check({.groups = 1, .tail = tail});
  }
  for (const int64_t tail : {511, 512, 513, 1025}) Check({.kv_heads = 1, .tail = tail});
}

TEST_P(AttentionParity, ManyGroups) {
  for (const int64_t groups : {3, 4, 5, 8, 9}) Check({.groups = groups, .tail = 9, .tokens = 2});
}

// One scale for all weights of a group must follow their products with their values' scales: beside
// the sink's weight, which meets no value, all others would round to nothing.
TEST_P(AttentionParity, ASinkTakesNoPrecisionFromTheOthers) {
  for (const int64_t tokens : {1, 4}) {
    Check({.gqa = 3, .groups = 2, .tail = 20, .tokens = tokens, .sink = true});
    Check({.head_dim = 256, .groups = 2, .tail = 20, .tokens = tokens, .sink = true});
  }
}

// The largest codes meet the largest queries, two and two: what 16 bits hardly hold.
TEST_P(AttentionParity, NeighboursAlike) {
  for (const int head_dim : {64, 256}) {
    for (const int64_t tokens : {1, 2, 5}) {
      Check({.head_dim = head_dim, .groups = 2, .tail = 20, .tokens = tokens, .alike = true});
    }
  }
}

// Scores are of the order of 1, so that a cap of 1 bends nearly all, and one of 50 hardly any.
TEST_P(AttentionParity, SoftCaps) {
  for (const float softcap : {1.0f, 50.0f}) {
    for (const int64_t tokens : {1, 3, 17}) {
      Check({.groups = 3, .tail = 40, .tokens = tokens, .softcap = softcap});
      Check({.head_dim = 256, .groups = 1, .tail = 20, .tokens = tokens, .softcap = softcap});
      for (const AttendMath math : {AttendMath::kFloat, AttendMath::kBf16}) {
        Check({.groups = 2, .tail = 90, .tokens = tokens, .math = math, .softcap = softcap});
        Check({.tail = 70, .tokens = 40, .type = KvType::kF32, .math = math, .softcap = softcap});
      }
    }
  }
}

// Two value groups of a head (head_dim 256) have scales of their own, and weights relative to them.
TEST_P(AttentionParity, ValueGroupsOfDifferentScales) {
  for (const float first_half : {0.0f, 1e-4f, 1e3f}) {
    for (const int64_t tokens : {1, 3}) {
      Check({.head_dim = 256, .groups = 3, .tail = 20, .tokens = tokens, .first_half = first_half});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionParity, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
