// What exactness rests on: the bits of a row of attention depend on its query, its position, the
// rows it sees and the arithmetic, and on nothing else.
#include <gtest/gtest.h>

#include <cstring>

#include "parity/kv.h"

namespace quantspec::testing {
namespace {

class AttentionInvariance : public ::testing::TestWithParam<std::string> {
 protected:
  // A cache of `groups` sealed groups and a tail of up to 256 rows in two segments, whose newest
  // `tokens` rows belong to the queries.
  struct Case {
    KvGeometry geometry{2, 64};
    int gqa = 3;
    int64_t groups = 5;
    int64_t older = 128;  // rows of the first dense segment
    int64_t newer = 60;   // rows of the second
    KvType type = KvType::kF16;
    AttendMath math = AttendMath::kCodes;
    int64_t MostTokens() const { return math == AttendMath::kCodes ? kStepRows : kTokens; }
  };

  struct World {
    OwnedCache cache;
    OwnedDense second;
    std::vector<float> q;
    int64_t positions;
    int q_heads;

    World(Backend& backend, const Case& c, Random random = Random(7))
        : World(backend, c, random,
                KvData(random, c.geometry, c.groups * kKvGroup + c.older + c.newer)) {}

   private:
    World(Backend& backend, const Case& c, Random& random, const KvData& data)
        : cache(backend, c.geometry, c.type, data, c.groups, c.older),
          second(backend, c.geometry, c.type, 128),
          positions(c.groups * kKvGroup + c.older + c.newer),
          q_heads(c.geometry.kv_heads * c.gqa) {
      const int64_t columns = int64_t{c.geometry.kv_heads} * c.geometry.head_dim;
      const int64_t first = positions - c.newer;
      const ConstRows k(data.k.data(), positions, columns), v(data.v.data(), positions, columns);
      backend.StoreKv(k.Rows(first, c.newer), v.Rows(first, c.newer), c.geometry, second.segment,
                      0);
      second.segment.rows = c.newer;
      second.segment.first_position = first;
      cache.view.dense[1] = second.segment;
      cache.view.dense_count = 2;
      q = random.Normals(kTokens * q_heads * c.geometry.head_dim);
    }
  };

  static constexpr int64_t kTokens = 40;

  // Attends tokens [first, first + count) of the newest kTokens, with what follows cut off.
  static std::vector<float> Attend(Backend& backend, const Case& c, const World& world,
                                   Planes planes, int64_t first, int64_t count) {
    const int64_t columns = int64_t{world.q_heads} * c.geometry.head_dim;
    std::vector<float> out(count * columns);
    AttendArgs args;
    args.geometry = c.geometry;
    args.q_heads = world.q_heads;
    args.scale = 0.125f;
    args.math = c.math;
    args.q = ConstRows(world.q.data() + first * columns, count, columns);
    args.out = Rows(out.data(), count, columns);
    KvView view = world.cache.view;
    view.runs[0].planes = planes;
    view.dense[1].rows = c.newer - kTokens + first + count;
    AttendOne(backend, args, {.first_position = world.positions - kTokens + first, .kv = view});
    return out;
  }

  static void Reserve(Backend& backend, const Case& c) {
    backend.Reserve(AttendLimits(c.geometry, c.geometry.kv_heads * c.gqa, kTokens,
                                 c.groups * kKvGroup + c.older + c.newer));
  }

  void ExpectInvariant(const Case& c) {
    ThreadPool one(1), two(2);
    const auto single = MakeCpuBackend(one, GetParam());
    const auto pair = MakeCpuBackend(two, GetParam());
    Reserve(*single, c);
    Reserve(*pair, c);
    const World world(*single, c);
    const int64_t columns = int64_t{world.q_heads} * c.geometry.head_dim;
    for (const Planes planes : {Planes::kBoth, Planes::kUpper}) {
      std::vector<float> expected;
      for (int64_t token = 0; token < kTokens; ++token) {
        const std::vector<float> row = Attend(*single, c, world, planes, token, 1);
        expected.insert(expected.end(), row.begin(), row.end());
      }
      for (int64_t count = 1; count <= c.MostTokens(); count += count < 20 ? 1 : 20) {
        for (Backend* backend : {single.get(), pair.get()}) {
          for (const int64_t first : {int64_t{0}, kTokens - count}) {
            const std::vector<float> rows = Attend(*backend, c, world, planes, first, count);
            ASSERT_EQ(std::memcmp(rows.data(), expected.data() + first * columns,
                                  rows.size() * sizeof(float)),
                      0)
                << count << " tokens from " << first << ", " << NameOf(c.math) << ", "
                << (backend == pair.get() ? "two threads" : "one thread");
          }
        }
      }
    }
  }
};

TEST_P(AttentionInvariance, RowsThatRideAlongAndThreadsChangeNothing) {
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat, AttendMath::kBf16}) {
    ExpectInvariant({.math = math});
    ExpectInvariant({{1, 128}, 4, 9, 16, 128, KvType::kF16, math});
    ExpectInvariant({{2, 80}, 1, 0, 128, 44, KvType::kF16, math});
    ExpectInvariant({{1, 256}, 2, 2, 128, 60, KvType::kF32, math});
    ExpectInvariant({{1, 96}, 7, 1, 128, 60, KvType::kF32, math});
  }
}

// A prompt's chunk: however it is cut into calls, every row has the same bits.
TEST_P(AttentionInvariance, APromptMayBeCutAnywhere) {
  for (const AttendMath math : {AttendMath::kFloat, AttendMath::kBf16}) {
    ThreadPool pool(2);
    const auto backend = MakeCpuBackend(pool, GetParam());
    const Case c{.groups = 9, .math = math};
    Reserve(*backend, c);
    const World world(*backend, c);
    const std::vector<float> whole = Attend(*backend, c, world, Planes::kBoth, 0, kTokens);
    for (const std::vector<int64_t>& cuts :
         {std::vector<int64_t>{1, 39}, {39, 1}, {20, 20}, {17, 23}, {7, 16, 17}}) {
      std::vector<float> rows;
      int64_t first = 0;
      for (const int64_t count : cuts) {
        const std::vector<float> some = Attend(*backend, c, world, Planes::kBoth, first, count);
        rows.insert(rows.end(), some.begin(), some.end());
        first += count;
      }
      ASSERT_EQ(rows, whole) << NameOf(math) << ", first cut " << cuts.front();
    }
  }
}

TEST_P(AttentionInvariance, StaleRowsBehindTheLiveOnesChangeNothing) {
  ThreadPool pool(2);
  const auto backend = MakeCpuBackend(pool, GetParam());
  const Case codes, prompt{.math = AttendMath::kFloat};
  const auto case_of = [&](int64_t count) { return count > kStepRows ? prompt : codes; };
  Reserve(*backend, codes);
  World world(*backend, codes);
  std::vector<std::vector<float>> clean;
  for (const int64_t count : {1, 4, 40}) {
    clean.push_back(Attend(*backend, case_of(count), world, Planes::kBoth, 0, count));
  }
  const int64_t columns = codes.geometry.kv_heads * codes.geometry.head_dim;
  for (const float stale : {65504.0f, -65504.0f}) {
    // The first query sees rows up to newer - kTokens.
    const std::vector<float> rows((128 - codes.newer + kTokens - 1) * columns, stale);
    size_t i = 0;
    for (const int64_t count : {1, 4, 40}) {
      const Case c = case_of(count);
      const int64_t live = c.newer - kTokens + count;
      World dirty(*backend, c);
      const ConstRows garbage(rows.data(), 128 - live, columns);
      backend->StoreKv(garbage, garbage, c.geometry, dirty.second.segment, live);
      const std::vector<float> out = Attend(*backend, c, dirty, Planes::kBoth, 0, count);
      EXPECT_EQ(std::memcmp(out.data(), clean[i].data(), out.size() * sizeof(float)), 0)
          << count << " tokens";
      ++i;
    }
  }
}

// A masked row must leave the state untouched: a query that sees few rows of a segment gets the
// same bits whether or not later, visible-to-others rows are live.
TEST_P(AttentionInvariance, LaterLiveRowsChangeNothing) {
  ThreadPool pool(1);
  const auto backend = MakeCpuBackend(pool, GetParam());
  const Case c{.groups = 1, .newer = 128, .math = AttendMath::kFloat};
  Reserve(*backend, c);
  const World world(*backend, c);
  const int64_t columns = int64_t{world.q_heads} * c.geometry.head_dim;
  const std::vector<float> alone = Attend(*backend, c, world, Planes::kBoth, 0, 1);
  const std::vector<float> all = Attend(*backend, c, world, Planes::kBoth, 0, kTokens);
  EXPECT_EQ(std::memcmp(alone.data(), all.data(), columns * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionInvariance, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
