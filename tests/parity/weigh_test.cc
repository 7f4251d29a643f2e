// What rows give every token: WeighRows of every instruction set against the reference.
#include <gtest/gtest.h>

#include <algorithm>

#include "parity/views.h"

namespace quantspec::testing {
namespace {

class Weigh : public Parity {
 protected:
  struct Shape {
    ViewSpec view;
    int gqa = 3;
    int64_t rows = 5;
    int64_t first_position = 0;
    int64_t columns = 0;  // 0: all
    float softcap = 0;
    int64_t Columns() const { return columns == 0 ? view.Tokens() : columns; }
    int QueryHeads() const { return view.geometry.kv_heads * gqa; }
  };
  static std::string Name(const Shape& s) {
    return "head_dim " + std::to_string(s.view.geometry.head_dim) + ", gqa " +
           std::to_string(s.gqa) + ", groups " + std::to_string(s.view.groups) + ", tokens " +
           std::to_string(s.view.Tokens()) + ", rows " + std::to_string(s.rows) + " from " +
           std::to_string(s.first_position) + ", columns " + std::to_string(s.Columns()) +
           ", softcap " + std::to_string(s.softcap);
  }
  static ScratchLimits Limits(const Shape& s, int64_t positions = 0) {
    return AttendLimits(s.view.geometry, s.QueryHeads(), 1, std::max(positions, s.view.Tokens()));
  }

  static std::vector<float> Weights(Backend& backend, const Shape& s,
                                    Planes stored = Planes::kBoth) {
    Random random(static_cast<uint64_t>(s.view.geometry.head_dim + s.gqa));
    const KvData data(random, s.view.geometry, s.view.Tokens());
    const int64_t columns = int64_t{s.QueryHeads()} * s.view.geometry.head_dim;
    const std::vector<float> q = random.Normals(s.rows * columns);
    const OwnedView owned(backend, s.view, data);
    if (stored == Planes::kUpper) {
      const SealedBytes bytes = backend.SizeOf(s.view.geometry, owned.sealed.segment.capacity);
      std::fill_n(owned.sealed.segment.lower, bytes.lower, std::byte{0});
    }
    GuardedRows masses(s.QueryHeads(), s.Columns());
    WeighArgs args;
    args.geometry = s.view.geometry;
    args.q_heads = s.QueryHeads();
    args.scale = static_cast<float>(1.0 / std::sqrt(s.view.geometry.head_dim));
    args.softcap = s.softcap;
    args.q = View(q, columns);
    args.first_position = s.first_position;
    args.kv = owned.view;
    args.masses = masses.view();
    backend.WeighRows(args);
    EXPECT_TRUE(masses.GuardsSurvive()) << Name(s);
    return masses.Packed();
  }

  // The shares' relative errors are the scores' absolute ones.
  static Tolerance ToleranceOf(const Shape& s) {
    const double head_dim = s.view.geometry.head_dim;
    return DotTolerance(head_dim, 2.0 * std::sqrt(head_dim)) +
           Tolerance{64 * kRoundoff, 16 * kRoundoff};
  }
  static std::vector<float> Ratios(const std::vector<float>& actual,
                                   const std::vector<float>& expected) {
    std::vector<float> ratios(actual.size());
    for (size_t i = 0; i < ratios.size(); ++i) {
      ratios[i] = expected[i] == 0.0f && actual[i] == 0.0f ? 1.0f : actual[i] / expected[i];
    }
    return ratios;
  }

  void Check(const Shape& s) {
    Reserve(Limits(s));
    const std::vector<float> actual = Weights(*cpu_, s), expected = Weights(*reference_, s);
    const std::vector<float> ones(actual.size(), 1.0f);
    ExpectMatch(Ratios(actual, expected), ones, ToleranceOf(s), Name(s));
    if (s.columns != 0) return;
    for (int head = 0; head < s.QueryHeads(); ++head) {
      double sum = 0.0;
      for (int64_t t = 0; t < s.Columns(); ++t) {
        sum += actual[static_cast<size_t>(head * s.Columns() + t)];
      }
      EXPECT_NEAR(sum, static_cast<double>(s.rows), 1e-5 * static_cast<double>(s.rows)) << Name(s);
    }
  }

  static std::vector<Shape> Shapes() {
    return {
        {{{2, 64}, 0, 0, {{1}}}, 3, 1, 0},
        {{{2, 64}, 0, 0, {{37}}}, 3, 5, 32},
        {{{2, 64}, 0, 0, {{37}}, KvType::kF32}, 1, 32, 5},
        {{{1, 16}, 0, 0, {{129}}}, 7, 32, 97},
        {{{1, 256}, 0, 0, {{70, 16}}, KvType::kF32}, 3, 5, 65},
        {{{3, 80}, 0, 0, {{1100, 32}}}, 1, 3, 1097},
        {{{3, 64}, 3, 0, {{40}}}, 3, 5, 3 * 128 + 35},
        {{{2, 96}, 3, 1, {{128}, {60, 48}}}, 1, 17, 3 * 128 + 171},
        {{{1, 128}, 2, 0, {}}, 7, 32, 224},
        {{{2, 256}, 1, 0, {{16}, {16, 16}, {9}}, KvType::kF32}, 3, 4, 165},
        {{{1, 64}, 10, 3, {{128, 64}, {1}}}, 7, 2, 1407},
    };
  }
};

TEST_P(Weigh, IsWhatTheReferenceSays) {
  for (const Shape& s : Shapes()) Check(s);
}

TEST_P(Weigh, CapsScores) {
  for (Shape s : Shapes()) {
    s.softcap = 2.0f;
    Check(s);
  }
}

TEST_P(Weigh, CountsRows) {
  const ViewSpec view{{2, 32}, 1, 0, {{60}}};
  for (int64_t rows = 1; rows <= kWeighRows; ++rows) Check({view, 3, rows, 188 - rows});
}

// Rows in the middle of the context, even of sealed groups, see what is before them.
TEST_P(Weigh, RowsAreAnywhere) {
  const ViewSpec view{{2, 64}, 3, 1, {{128}, {30}}};
  for (const int64_t first : {0, 63, 100, 127, 128, 250, 380, 384, 505, 541, 900}) {
    Check({view, 3, 5, first});
    Check({view, 1, 32, first});
  }
}

TEST_P(Weigh, GivesTheFirstTokensAlone) {
  const ViewSpec view{{2, 64}, 9, 0, {{100}}};
  const Shape all{view, 3, 5, 9 * 128 + 95};
  Reserve(Limits(all));
  const std::vector<float> expected = Weights(*cpu_, all);
  for (const int64_t columns : {1, 15, 16, 63, 64, 65, 128, 1023, 1025, 1152, 1251}) {
    Shape some = all;
    some.columns = columns;
    const std::vector<float> actual = Weights(*cpu_, some);
    for (int head = 0; head < all.QueryHeads(); ++head) {
      EXPECT_TRUE(std::equal(actual.begin() + head * columns, actual.begin() + (head + 1) * columns,
                             expected.begin() + head * all.Columns()))
          << columns << " columns";
    }
    Check(some);
  }
}

// Bit for bit, whether a record is kept between the phases or computed twice.
TEST_P(Weigh, ThreadsAndMemoryChangeNothing) {
  ThreadPool one(1);
  const auto single = MakeCpuBackend(one, GetParam()), roomy = MakeCpuBackend(one, GetParam());
  std::vector<Shape> shapes = Shapes();
  shapes.push_back({{{2, 64}, 21, 0, {{128}, {77}}}, 7, 32, 21 * 128 + 173});
  shapes.push_back({{{2, 64}, 0, 0, {{2500, 16}}}, 7, 32, 2460});
  for (const Shape& s : shapes) {
    cpu_->Reserve(Limits(s));
    single->Reserve(Limits(s));
    roomy->Reserve(Limits(s, 8 << 20));
    const std::vector<float> expected = Weights(*single, s);
    EXPECT_EQ(Weights(*cpu_, s), expected) << Name(s);
    EXPECT_EQ(Weights(*roomy, s), expected) << Name(s);
  }
  // That the reference agrees where records are computed twice.
  Check(shapes.back());
}

// The comparison notices a plane that is missing.
TEST_P(Weigh, ReadsBothPlanes) {
  const Shape s{{{2, 64}, 3, 0, {{40}}}, 3, 5, 3 * 128 + 35};
  Reserve(Limits(s));
  const std::vector<float> expected = Weights(*reference_, s);
  const std::vector<float> upper = Ratios(Weights(*cpu_, s, Planes::kUpper), expected);
  EXPECT_FALSE(Matches(upper, std::vector<float>(upper.size(), 1.0f), 100 * ToleranceOf(s)));
}

INSTANTIATE_TEST_SUITE_P(Isas, Weigh, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
