// Tokens gathered beside each other, and slices of segments: the same numbers elsewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "parity/views.h"

namespace quantspec::testing {
namespace {

class Gather : public Parity {
 protected:
  static std::vector<float> Row(Backend& backend, KvGeometry geometry, const DenseSegment& segment,
                                int64_t row) {
    const auto columns = static_cast<size_t>(geometry.kv_heads * geometry.head_dim);
    std::vector<float> both(2 * columns);
    backend.LoadKv(geometry, segment, row, both.data(), both.data() + columns);
    return both;
  }

  // Every token of a view decoded or copied in order.
  static OwnedDense Decoded(Backend& backend, const ViewSpec& spec, const OwnedView& owned,
                            KvType type) {
    OwnedDense all(backend, spec.geometry, type, RoundUp(spec.Tokens(), kDenseRows));
    for (int64_t g = 0; g < spec.groups; ++g) {
      backend.UnsealKv(spec.geometry, owned.sealed.segment, owned.slots[static_cast<size_t>(g)],
                       all.segment, g * kKvGroup);
    }
    for (const OwnedDense& piece : owned.dense) {
      backend.CopyKv(spec.geometry, piece.segment, piece.segment.first_row, piece.segment.rows,
                     all.segment, piece.segment.first_position);
    }
    return all;
  }

  // About one of `sparsity` tokens, for every head others.
  static std::vector<int32_t> SomeRows(Random& random, int heads, int64_t tokens, int64_t count) {
    std::vector<int32_t> rows;
    for (int head = 0; head < heads; ++head) {
      int64_t left = count;
      for (int64_t t = 0; t < tokens; ++t) {
        if (random.Uniform() * static_cast<double>(tokens - t) >= static_cast<double>(left)) {
          continue;
        }
        rows.push_back(static_cast<int32_t>(t));
        --left;
      }
      // What rounding of the numbers above left out.
      for (; left > 0; --left) rows.push_back(static_cast<int32_t>(tokens - left));
    }
    return rows;
  }

  void Check(const ViewSpec& spec, int64_t count, int64_t to_row) {
    const int head_dim = spec.geometry.head_dim, heads = spec.geometry.kv_heads;
    Random random(static_cast<uint64_t>(count + head_dim));
    KvData data(random, spec.geometry, spec.Tokens());
    // Beyond f16 once decoded.
    for (int64_t t = 0; t < spec.Tokens(); ++t)
      data.k[t * heads * head_dim] = t % 2 ? 65504 : -65504;
    Reserve(AttendLimits(spec.geometry, heads, 1, spec.Tokens()));
    const std::vector<int32_t> rows = SomeRows(random, heads, spec.Tokens(), count);
    ASSERT_EQ(static_cast<int64_t>(rows.size()), heads * count);
    for (const KvType type : {KvType::kF16, KvType::kF32}) {
      std::vector<std::vector<float>> of_backend[2];
      for (Backend* backend : {cpu_.get(), reference_.get()}) {
        const OwnedView owned(*backend, spec, data);
        const OwnedDense all = Decoded(*backend, spec, owned, type);
        OwnedDense to(*backend, spec.geometry, type, RoundUp(to_row + count + 2, kDenseRows));
        const std::vector<float> untouched = Row(*backend, spec.geometry, to.segment, 0);
        backend->GatherKv(spec.geometry, owned.view, rows.data(), count, to.segment, to_row);
        for (int64_t i = 0; i < to.segment.capacity; ++i) {
          const std::vector<float> actual = Row(*backend, spec.geometry, to.segment, i);
          of_backend[backend == cpu_.get()].push_back(actual);
          if (i < to_row || i >= to_row + count) {
            EXPECT_EQ(actual, untouched) << "row " << i;
            continue;
          }
          for (int head = 0; head < heads; ++head) {
            const int32_t from = rows[static_cast<size_t>(head * count + i - to_row)];
            const std::vector<float> expected = Row(*backend, spec.geometry, all.segment, from);
            for (int part = 0; part < 2; ++part) {
              const size_t at = static_cast<size_t>((part * heads + head) * head_dim);
              ASSERT_EQ(std::memcmp(actual.data() + at, expected.data() + at,
                                    sizeof(float) * static_cast<size_t>(head_dim)),
                        0)
                  << backend->isa() << ", head " << head << ", token " << from << " to row " << i;
            }
          }
        }
      }
      EXPECT_EQ(of_backend[0], of_backend[1]);
    }
  }
};

TEST_P(Gather, CopiesWhatIsDecoded) {
  for (const KvType type : {KvType::kF16, KvType::kF32}) {
    for (const int head_dim : {16, 64, 80, 128, 256}) {
      const KvGeometry geometry{2, head_dim};
      Check({geometry, 3, 1, {{40, 16}}, type}, 50, 5);
      Check({geometry, 0, 0, {{40, 32}, {33}, {7, 48}}, type}, 31, 16);
    }
    Check({{3, 64}, 5, 0, {{128}, {100, 16}}, type}, 700, 3);
    Check({{1, 64}, 2, 0, {}, type}, 1, 0);
    Check({{1, 64}, 2, 0, {{16}}, type}, 272, 0);
  }
}

// ---------------------------------------------------------------------------------- slices

class Slices : public Parity {
 protected:
  static constexpr KvGeometry kGeometry{2, 64};
  static constexpr int kQueryHeads = 6;
  static constexpr int64_t kColumns = int64_t{kQueryHeads} * kGeometry.head_dim;

  std::vector<float> Attend(Backend& backend, const KvView& view, AttendMath math, int64_t tokens,
                            int64_t first_position) {
    Random random(21);
    const std::vector<float> q = random.Normals(tokens * kColumns);
    GuardedRows out(tokens, kColumns);
    AttendArgs args;
    args.geometry = kGeometry;
    args.q_heads = kQueryHeads;
    args.scale = 0.125f;
    args.math = math;
    args.q = View(q, kColumns);
    args.out = out.view();
    AttendOne(backend, args, {.first_position = first_position, .kv = view});
    return out.Packed();
  }
};

// Bit for bit what a segment of the live rows alone gives; three of them, beside groups or not.
TEST_P(Slices, AreReadLikeCopies) {
  for (const KvType type : {KvType::kF16, KvType::kF32}) {
    for (const int64_t groups : {0, 2}) {
      const ViewSpec sliced{kGeometry, groups, 0, {{1040, 32}, {33, 16}, {50, 208}}, type};
      ViewSpec copied = sliced;
      for (ViewSpec::Piece& piece : copied.dense) piece.first_row = 0;
      Random random(22);
      const KvData data(random, kGeometry, sliced.Tokens());
      Reserve(AttendLimits(kGeometry, kQueryHeads, 40, sliced.Tokens()));
      const OwnedView slices(*cpu_, sliced, data), copies(*cpu_, copied, data);
      const OwnedView plain(*reference_, sliced, data), other(*reference_, copied, data);
      for (const AttendMath math : {AttendMath::kCodes, AttendMath::kFloat, AttendMath::kBf16}) {
        for (const int64_t tokens : {1, 5, 40}) {
          if (math == AttendMath::kCodes && tokens > kStepRows) continue;
          const int64_t first = sliced.Tokens() - tokens;
          const std::vector<float> actual = Attend(*cpu_, slices.view, math, tokens, first);
          EXPECT_EQ(actual, Attend(*cpu_, copies.view, math, tokens, first)) << NameOf(math);
          if (tokens > 5) continue;
          const std::vector<float> expected = Attend(*reference_, plain.view, math, tokens, first);
          EXPECT_EQ(expected, Attend(*reference_, other.view, math, tokens, first));
          // Rounded queries, keys and weights.
          ExpectMatch(actual, expected, {0.01, 0.002}, NameOf(math));
        }
      }
    }
  }
}

// A draft's view: gathered tokens at "positions" from 0, then the newest rows of a cache.
TEST_P(Slices, StandBesideGatheredTokens) {
  const ViewSpec spec{kGeometry, 3, 0, {{128}, {77}}};
  constexpr int64_t kCount = 100, kNewest = 48;
  Random random(23);
  const KvData data(random, kGeometry, spec.Tokens());
  std::vector<int32_t> rows;
  for (int head = 0; head < 2; ++head) {
    for (int i = 0; i < kCount; ++i) rows.push_back(3 * i + head);
  }
  Reserve(AttendLimits(kGeometry, kQueryHeads, 5, spec.Tokens()));
  std::vector<float> results[2];
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    const OwnedView owned(*backend, spec, data);
    OwnedDense gathered(*backend, kGeometry, KvType::kF16, 112);
    backend->GatherKv(kGeometry, owned.view, rows.data(), kCount, gathered.segment, 0);
    KvView draft;
    gathered.segment.rows = kCount;
    draft.dense[0] = gathered.segment;
    draft.dense[1] = owned.view.dense[0];
    draft.dense[1].first_row += 128 - kNewest;
    draft.dense[1].first_position += 128 - kNewest;
    draft.dense[1].rows = kNewest;
    draft.dense[2] = owned.view.dense[1];
    draft.dense_count = 3;
    results[backend == cpu_.get()] =
        Attend(*backend, draft, AttendMath::kCodes, 5, spec.Tokens() - 5);
  }
  ExpectMatch(results[1], results[0], SoftmaxTolerance(DotTolerance(64, 16), 200), "gathered");
}

INSTANTIATE_TEST_SUITE_P(Isas, Gather, ::testing::ValuesIn(IsaNames()), IsaName);
INSTANTIATE_TEST_SUITE_P(Isas, Slices, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
