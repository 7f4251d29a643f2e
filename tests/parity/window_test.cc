// Attention in a window over a ring of rows: against the reference, and the bits of every row
// whatever else the call and the view hold.
#include <gtest/gtest.h>

#include <cstring>

#include "parity/kv.h"

namespace quantspec::testing {
namespace {

constexpr int64_t kMostTokens = 256;

struct Shape {
  int64_t window = 0;
  int64_t first = 0;  // position of the first query
  int64_t tokens = 1;
  AttendMath math = AttendMath::kCodes;
  int head_dim = 64;
  int kv_heads = 2;
  int gqa = 3;
  KvType type = KvType::kF16;
  float softcap = 0;

  KvGeometry geometry() const { return {kv_heads, head_dim}; }
  int q_heads() const { return kv_heads * gqa; }
  int64_t columns() const { return int64_t{q_heads()} * head_dim; }
  int64_t end() const { return first + tokens; }
  int64_t ring() const { return RoundUp(window, 256) + 256; }
};

std::string Name(const Shape& s) {
  return "window " + std::to_string(s.window) + ", tokens " + std::to_string(s.tokens) + " from " +
         std::to_string(s.first) + ", head_dim " + std::to_string(s.head_dim) + ", gqa " +
         std::to_string(s.gqa) + ", " + NameOf(s.math);
}

// The newest rows of a sequence of `end` tokens, position p in row p % ring; rows beside them would
// be seen if they were read.
struct Ring {
  OwnedDense rows;

  Ring(Backend& backend, const Shape& s, const KvData& data, int64_t end)
      : rows(backend, s.geometry(), s.type, s.ring()) {
    const int64_t columns = int64_t{s.kv_heads} * s.head_dim;
    const ConstRows k(data.k.data(), end, columns), v(data.v.data(), end, columns);
    const std::vector<float> stale(static_cast<size_t>(columns), 60000.0f);
    for (int64_t row = 0; row < s.ring(); ++row) {
      backend.StoreKv(View(stale, columns), View(stale, columns), s.geometry(), rows.segment, row);
    }
    for (int64_t p = std::max<int64_t>(end - s.ring(), 0); p < end; ++p) {
      backend.StoreKv(k.Rows(p, 1), v.Rows(p, 1), s.geometry(), rows.segment, p % s.ring());
    }
  }

  // What queries at [first, end) see, and `more` rows before that.
  KvView ViewOf(const Shape& s, int64_t first, int64_t end, int64_t more = 0) const {
    KvView view;
    const int64_t start = std::max<int64_t>(first + 1 - s.window - more, 0);
    for (int64_t p = start / kDenseRows * kDenseRows; p < end;) {
      DenseSegment& segment = view.dense[view.dense_count++];
      segment = rows.segment;
      segment.first_position = p;
      segment.first_row = p % s.ring();
      segment.rows = std::min(end - p, s.ring() - segment.first_row);
      p += segment.rows;
    }
    return view;
  }
};

std::vector<float> Attend(Backend& backend, const Shape& s, const KvView& view,
                          const std::vector<float>& q, int64_t first, int64_t tokens) {
  GuardedRows out(tokens, s.columns());
  AttendArgs args;
  args.geometry = s.geometry();
  args.q_heads = s.q_heads();
  args.scale = static_cast<float>(1.0 / std::sqrt(s.head_dim));
  args.math = s.math;
  args.window = s.window;
  args.softcap = s.softcap;
  args.q = View(q, s.columns()).Rows(first - s.first, tokens);
  args.out = out.view();
  AttendOne(backend, args, {.first_position = first, .kv = view});
  EXPECT_TRUE(out.GuardsSurvive()) << Name(s);
  return out.Packed();
}

class Window : public Parity {
 protected:
  static Tolerance ToleranceOf(const Shape& s) {
    const double scale = 1.0 / std::sqrt(s.head_dim);
    const auto seen = static_cast<double>(std::min(s.window, s.first + 1));
    Tolerance scores = DotTolerance(s.head_dim, s.head_dim * scale);
    Tolerance weights;
    if (s.math == AttendMath::kBf16) {
      scores = scores + HalfDotTolerance(s.head_dim, 1.6 * scale);
      weights = HalfDotTolerance(seen, 4.0 / seen);
    }
    return SoftmaxTolerance(scores, seen) + weights;
  }

  void Check(const Shape& s) {
    Random random(static_cast<uint64_t>(s.window * 1000 + s.first));
    const KvData data(random, s.geometry(), s.end());
    const std::vector<float> q = random.Normals(s.tokens * s.columns());
    Reserve(AttendLimits(s.geometry(), s.q_heads(), s.tokens, s.ring()));
    const Ring fast(*cpu_, s, data, s.end()), plain(*reference_, s, data, s.end());
    const auto attend = [&](Backend& backend, const Ring& ring) {
      return Attend(backend, s, ring.ViewOf(s, s.first, s.end()), q, s.first, s.tokens);
    };
    ExpectMatch(attend(*cpu_, fast), attend(*reference_, plain), ToleranceOf(s), Name(s));
  }
};

TEST_P(Window, IsWhatTheReferenceSays) {
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat, AttendMath::kBf16}) {
    for (const int64_t window : {1, 2, 15, 16, 63, 64, 65, 100, 300, 1100}) {
      // At the beginning, within the first window, where the ring wraps, and long after.
      for (const int64_t first : {int64_t{0}, window / 2, window, RoundUp(window, 256) + 250,
                                  3 * (RoundUp(window, 256) + 256) + 77}) {
        Check({window, first, 1, math});
        Check({window, first, 13, math});
      }
    }
    for (const int head_dim : {16, 80, 96, 128, 256}) {
      for (const int gqa : {1, 3, 8}) {
        Check({70, 508, 9, math, head_dim, 1, gqa});
        Check({70, 508, 1, math, head_dim, 2, gqa, KvType::kF32});
      }
    }
  }
}

TEST_P(Window, OfPromptsIsWhatTheReferenceSays) {
  for (const AttendMath math : {AttendMath::kFloat, AttendMath::kBf16}) {
    for (const int64_t window : {1, 40, 100, 300}) {
      Check({window, 512, 256, math, 64, 1, 2});
      Check({window, 768, 131, math, 80, 1, 3});
      Check({window, 0, 200, math, 64, 1, 4, KvType::kF32});
    }
  }
}

class WindowInvariance : public ::testing::TestWithParam<std::string> {
 protected:
  void Check(const Shape& s) {
    Random random(9);
    const KvData data(random, s.geometry(), s.end());
    const std::vector<float> q = random.Normals(s.tokens * s.columns());
    ThreadPool one(1), two(2);
    const auto single = MakeCpuBackend(one, GetParam()), pair = MakeCpuBackend(two, GetParam());
    for (Backend* backend : {single.get(), pair.get()}) {
      backend->Reserve(AttendLimits(s.geometry(), s.q_heads(), kMostTokens, s.ring()));
    }
    const Ring ring(*single, s, data, s.end());
    std::vector<float> expected;
    for (int64_t p = s.first; p < s.end(); ++p) {
      const std::vector<float> row = Attend(*single, s, ring.ViewOf(s, p, p + 1), q, p, 1);
      expected.insert(expected.end(), row.begin(), row.end());
    }
    for (const int64_t count : {1, 2, 5, 16, 17, 60, 256}) {
      if (count > s.tokens || (s.math == AttendMath::kCodes && count > kStepRows)) continue;
      for (const int64_t first : {s.first, s.end() - count}) {
        for (Backend* backend : {single.get(), pair.get()}) {
          for (const int64_t more : {0, 100}) {
            const KvView view = ring.ViewOf(s, first, first + count, more);
            const std::vector<float> rows = Attend(*backend, s, view, q, first, count);
            ASSERT_EQ(std::memcmp(rows.data(), expected.data() + (first - s.first) * s.columns(),
                                  rows.size() * sizeof(float)),
                      0)
                << Name(s) << ": " << count << " from " << first << ", " << more << " rows more";
          }
        }
      }
    }
  }
};

// Views that begin elsewhere leave every row's bits, too: tiles and splits of tokens lie at fixed
// places of the ring.
TEST_P(WindowInvariance, RowsThatRideAlongAndWhereAViewBeginsChangeNothing) {
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat, AttendMath::kBf16}) {
    Check({100, 490, 60, math});
    Check({300, 750, 60, math, 128, 1, 4});
    Check({1, 500, 17, math});
    Check({1000, 1005, 60, math});
    Check({1000, 1262, 60, math, 64, 1, 1, KvType::kF32});
    if (math != AttendMath::kCodes) Check({100, 1024, 256, math});
  }
}

// A window that nothing is outside of is none, but for where the splits of tokens are.
TEST_P(WindowInvariance, AWindowOverEverythingIsNoWindow) {
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat, AttendMath::kBf16}) {
    const Shape s{900, 500, 17, math};
    Random random(4);
    const KvData data(random, s.geometry(), s.end());
    const std::vector<float> q = random.Normals(s.tokens * s.columns());
    ThreadPool pool(2);
    const auto backend = MakeCpuBackend(pool, GetParam());
    backend->Reserve(AttendLimits(s.geometry(), s.q_heads(), s.tokens, s.ring()));
    const Ring ring(*backend, s, data, s.end());
    const KvView view = ring.ViewOf(s, s.first, s.end());
    Shape none = s;
    none.window = 0;
    const std::vector<float> windowed = Attend(*backend, s, view, q, s.first, s.tokens);
    EXPECT_EQ(windowed, Attend(*backend, none, view, q, s.first, s.tokens));
    none.window = int64_t{1} << 40;
    EXPECT_EQ(windowed, Attend(*backend, none, view, q, s.first, s.tokens));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Window, ::testing::ValuesIn(IsaNames()), IsaName);
INSTANTIATE_TEST_SUITE_P(Isas, WindowInvariance, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
