// Several sequences in one call of Attend: every row has the bits that it has alone.
#include <gtest/gtest.h>

#include "parity/kv.h"

namespace quantspec::testing {
namespace {

constexpr KvGeometry kGeometry{2, 64};
constexpr int kQueryHeads = 6;
constexpr int64_t kColumns = int64_t{kQueryHeads} * kGeometry.head_dim;
constexpr int64_t kMostTokens = 40;

struct Sequence {
  int64_t groups;
  int64_t tail;  // rows, the queries' own included
  int64_t tokens;
  bool has_masses = false;
};

class AttentionBatch : public Parity {
 protected:
  // Caches and queries of some sequences.
  struct World {
    std::vector<Sequence> sequences;
    std::vector<OwnedCache> caches;
    std::vector<float> q;
    int64_t positions = 0;

    World(Backend& backend, const std::vector<Sequence>& list) : sequences(list) {
      Random random(11);
      int64_t tokens = 0;
      for (const Sequence& s : list) {
        const int64_t own = s.groups * kKvGroup + s.tail;
        const KvData data(random, kGeometry, own);
        caches.emplace_back(backend, kGeometry, KvType::kF16, data, s.groups, s.tail);
        positions += own;
        tokens += s.tokens;
      }
      q = random.Normals(tokens * kColumns);
    }
  };

  struct Result {
    std::vector<float> out, masses;
    bool operator==(const Result&) const = default;
  };

  // Sequences [first, last) in one call.
  static Result Attend(Backend& backend, const World& world, AttendMath math, size_t first,
                       size_t last) {
    int64_t before = 0, tokens = 0, cells = 0;
    for (size_t i = 0; i < last; ++i) {
      (i < first ? before : tokens) += world.sequences[i].tokens;
      if (i >= first) cells += kGeometry.kv_heads * world.sequences[i].groups;
    }
    Result result;
    result.out.resize(static_cast<size_t>(tokens * kColumns));
    result.masses.resize(static_cast<size_t>(cells));
    AttendArgs args;
    args.geometry = kGeometry;
    args.q_heads = kQueryHeads;
    args.scale = 0.125f;
    args.math = math;
    args.q = ConstRows(world.q.data() + before * kColumns, tokens, kColumns);
    args.out = Rows(result.out.data(), tokens, kColumns);
    std::vector<AttendRows> rows;
    float* masses = result.masses.data();
    for (size_t i = first; i < last; ++i) {
      const Sequence& s = world.sequences[i];
      AttendRows one;
      one.first_row = rows.empty() ? 0 : rows.back().first_row + rows.back().rows;
      one.rows = s.tokens;
      one.first_position = s.groups * kKvGroup + s.tail - s.tokens;
      one.kv = world.caches[i].view;
      one.masses = s.has_masses ? masses : nullptr;
      masses += kGeometry.kv_heads * s.groups;
      rows.push_back(one);
    }
    args.sequences = rows;
    backend.Attend(args);
    return result;
  }

  void ExpectAsAlone(Backend& backend, const std::vector<Sequence>& list, AttendMath math) {
    const World world(backend, list);
    backend.Reserve(AttendLimits(kGeometry, kQueryHeads, kMostTokens, world.positions,
                                 static_cast<int64_t>(list.size())));
    Result alone;
    for (size_t i = 0; i < list.size(); ++i) {
      const Result one = Attend(backend, world, math, i, i + 1);
      alone.out.insert(alone.out.end(), one.out.begin(), one.out.end());
      alone.masses.insert(alone.masses.end(), one.masses.begin(), one.masses.end());
    }
    EXPECT_TRUE(Attend(backend, world, math, 0, list.size()) == alone)
        << backend.isa() << ", " << NameOf(math);
  }
};

TEST_P(AttentionBatch, StepsOfManySequences) {
  for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat, AttendMath::kBf16}) {
    ExpectAsAlone(*cpu_, {{9, 40, 1}, {0, 1, 1}, {2, 130, 5, true}, {1, 17, 17}, {20, 3, 1, true}},
                  math);
    ExpectAsAlone(*cpu_, std::vector<Sequence>(24, {1, 30, 1}), math);
  }
  ExpectAsAlone(*reference_, {{1, 40, 1}, {0, 1, 1}, {2, 13, 3, true}}, AttendMath::kCodes);
}

TEST_P(AttentionBatch, PromptsOfManySequences) {
  for (const AttendMath math : {AttendMath::kFloat, AttendMath::kBf16}) {
    ExpectAsAlone(*cpu_, {{9, 40, 40, true}, {0, 1, 1}, {2, 130, 33}, {1, 17, 17, true}}, math);
  }
}

// The memory of partial states is enough whatever the views are cut into.
TEST_P(AttentionBatch, OfShortRunsAndSegments) {
  std::vector<Sequence> list;
  for (int i = 0; i < 9; ++i) list.push_back({9, 17 + 128 * (i % 2), 17, true});
  for (int i = 0; i < 9; ++i) list.push_back({1, 1, 1});
  ExpectAsAlone(*cpu_, list, AttendMath::kCodes);
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionBatch, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
