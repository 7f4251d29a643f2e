// Attend of tokens that bring their own keys and values: the same bits as turning queries and keys
// and storing them before, whoever writes them, and what the reference gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/isa.h"
#include "parity/kv.h"

namespace quantspec::testing {
namespace {

struct Shape {
  KvGeometry geometry{2, 64};
  int gqa = 3;
  int rotated = 64;
  RopeLayout layout = RopeLayout::kPairs;
  KvType type = KvType::kF16;
  int64_t groups = 2;  // sealed
  int64_t older = 40;  // dense rows before the tokens
  int64_t tokens = 1;

  int q_heads() const { return gqa * geometry.kv_heads; }
  int64_t q_columns() const { return int64_t{q_heads()} * geometry.head_dim; }
  int64_t kv_columns() const { return int64_t{geometry.kv_heads} * geometry.head_dim; }
  int64_t positions() const { return groups * kKvGroup + older + tokens; }
};

std::string Name(const Shape& s) {
  return "head_dim " + std::to_string(s.geometry.head_dim) + ", rotated " +
         std::to_string(s.rotated) + ", groups " + std::to_string(s.groups) + ", older " +
         std::to_string(s.older) + ", tokens " + std::to_string(s.tokens);
}

// What a model gives a call, and the table of its angles.
struct Given {
  KvData data;  // of all positions; the last `tokens` are the call's own
  std::vector<float> q, table;

  Given(Random& random, const Shape& s)
      : data(random, s.geometry, s.positions()), q(random.Normals(s.tokens * s.q_columns())) {
    for (int64_t position = 0; position < s.positions(); ++position) {
      for (int i = 0; i < s.rotated / 2; ++i) {
        const double angle = static_cast<double>(position) * std::pow(0.9, i);
        table.push_back(static_cast<float>(std::cos(angle)));
        table.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
};

// A cache whose dense rows lie in two segments, the first of kFirst rows, so that a call's own rows
// may begin in one and end in the other; rows of the tokens hold something else.
constexpr int64_t kFirst = 48;
struct World {
  OwnedCache cache;
  OwnedDense first, second;

  World(Backend& backend, const Shape& s, const Given& in)
      : cache(backend, s.geometry, s.type, in.data, s.groups, 0),
        first(backend, s.geometry, s.type, kFirst),
        second(backend, s.geometry, s.type, 1200) {
    const int64_t sealed = s.groups * kKvGroup;
    const int64_t rows = s.older + s.tokens;
    first.segment.first_position = sealed;
    first.segment.rows = std::min(rows, kFirst);
    second.segment.first_position = sealed + kFirst;
    second.segment.rows = rows - first.segment.rows;
    const ConstRows k(in.data.k.data(), s.positions(), s.kv_columns());
    const ConstRows v(in.data.v.data(), s.positions(), s.kv_columns());
    const int64_t in_first = std::min(s.older, kFirst);
    backend.StoreKv(k.Rows(sealed, in_first), v.Rows(sealed, in_first), s.geometry, first.segment,
                    0);
    backend.StoreKv(k.Rows(sealed + in_first, s.older - in_first),
                    v.Rows(sealed + in_first, s.older - in_first), s.geometry, second.segment, 0);
    cache.view.dense[0] = first.segment;
    cache.view.dense[1] = second.segment;
    cache.view.dense_count = second.segment.rows > 0 ? 2 : 1;
  }
};

AttendArgs ArgsOf(const Shape& s, const Given& in, const KvView& view, std::vector<float>& out) {
  out.assign(static_cast<size_t>(s.tokens * s.q_columns()), 0.0f);
  AttendArgs args;
  args.q = View(in.q, s.q_columns());
  args.kv = view;
  args.first_position = s.positions() - s.tokens;
  args.q_heads = s.q_heads();
  args.scale = static_cast<float>(1.0 / std::sqrt(s.geometry.head_dim));
  args.out = Rows(out.data(), s.tokens, s.q_columns());
  return args;
}

void AddOwn(const Shape& s, const Given& in, AttendArgs& args) {
  const int64_t first = (s.positions() - s.tokens) * s.kv_columns();
  args.k = ConstRows(in.data.k.data() + first, s.tokens, s.kv_columns());
  args.v = ConstRows(in.data.v.data() + first, s.tokens, s.kv_columns());
  args.rotation = {s.rotated, s.layout, in.table.data()};
}

class OwnRowsOfTokens : public Parity {
 protected:
  // What models did before: rotate in place, store, attend.
  std::vector<float> StoreFirst(const Shape& s, Given in, World& world) {
    const auto& rope = cpu::FindTable(GetParam()).rows.rope;
    const int64_t first = s.positions() - s.tokens;
    for (int64_t token = 0; token < s.tokens; ++token) {
      const float* angles = in.table.data() + (first + token) * s.rotated;
      const auto turn = [&](float* row, int heads) {
        if (s.rotated > 0) rope(row, angles, heads, s.geometry.head_dim, s.rotated, s.layout);
      };
      turn(in.q.data() + token * s.q_columns(), s.q_heads());
      turn(in.data.k.data() + (first + token) * s.kv_columns(), s.geometry.kv_heads);
    }
    for (int i = 0; i < world.cache.view.dense_count; ++i) {
      const DenseSegment& segment = world.cache.view.dense[i];
      const int64_t begin = std::max(first, segment.first_position);
      const int64_t count = segment.first_position + segment.rows - begin;
      const ConstRows k(in.data.k.data(), s.positions(), s.kv_columns());
      const ConstRows v(in.data.v.data(), s.positions(), s.kv_columns());
      if (count > 0) {
        cpu_->StoreKv(k.Rows(begin, count), v.Rows(begin, count), s.geometry, segment,
                      begin - segment.first_position);
      }
    }
    std::vector<float> out;
    cpu_->Attend(ArgsOf(s, in, world.cache.view, out));
    return out;
  }

  static std::vector<float> BringOwn(Backend& backend, const Shape& s, const Given& in,
                                     World& world) {
    std::vector<float> out;
    AttendArgs args = ArgsOf(s, in, world.cache.view, out);
    AddOwn(s, in, args);
    backend.Attend(args);
    return out;
  }

  // Every dense row.
  static std::vector<float> Contents(const Backend& backend, const Shape& s, const World& world) {
    const auto columns = static_cast<size_t>(s.kv_columns());
    std::vector<float> all;
    for (int i = 0; i < world.cache.view.dense_count; ++i) {
      const DenseSegment& segment = world.cache.view.dense[i];
      for (int64_t row = 0; row < segment.rows; ++row) {
        std::vector<float> kv(2 * columns);
        backend.LoadKv(s.geometry, segment, row, kv.data(), kv.data() + columns);
        all.insert(all.end(), kv.begin(), kv.end());
      }
    }
    return all;
  }

  void Check(const Shape& s) {
    Random random(static_cast<uint64_t>(s.tokens * 1000 + s.older));
    const Given in(random, s);
    Reserve({s.tokens, 0, s.positions(), s.geometry, s.q_heads()});
    World before(*cpu_, s, in), own(*cpu_, s, in), plain(*reference_, s, in);
    const std::vector<float> expected = StoreFirst(s, in, before);
    const std::vector<float> actual = BringOwn(*cpu_, s, in, own);
    EXPECT_EQ(actual, expected) << Name(s);
    const std::vector<float> contents = Contents(*cpu_, s, own);
    EXPECT_EQ(contents, Contents(*cpu_, s, before)) << Name(s);

    // The specification turns in double precision: an element of f16 may fall to the other side.
    const std::vector<float> reference = BringOwn(*reference_, s, in, plain);
    const std::vector<float> rows = Contents(*reference_, s, plain);
    ASSERT_EQ(contents.size(), rows.size());
    const float unit = s.type == KvType::kF16 ? 1e-3f : 1e-6f;
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_NEAR(contents[i], rows[i], unit * (1.0f + std::abs(rows[i]))) << Name(s);
    }
    if (s.groups == 0) {
      const double bound = 16 * static_cast<double>(unit);
      ExpectMatch(actual, reference, {bound, bound}, Name(s));
    }
  }
};

TEST_P(OwnRowsOfTokens, AreTurnedAndStoredBeforeTheyAreRead) {
  for (const int64_t tokens : {1, 2, 5, 16, 17, 18, 40}) {
    for (const int64_t older : {0, 31, 40, 47, 48, 60}) {
      Check({.older = older, .tokens = tokens});
      Check({.type = KvType::kF32, .groups = 0, .older = older, .tokens = tokens});
    }
  }
}

TEST_P(OwnRowsOfTokens, AnyRotation) {
  for (const RopeLayout layout : {RopeLayout::kPairs, RopeLayout::kHalves}) {
    for (const int rotated : {0, 2, 14, 80}) {
      Check({.geometry = {1, 80}, .gqa = 4, .rotated = rotated, .layout = layout, .tokens = 4});
      Check({.geometry = {3, 80},
             .gqa = 1,
             .rotated = rotated,
             .layout = layout,
             .type = KvType::kF32,
             .groups = 0,
             .tokens = 33});
    }
  }
}

// Of one head the rows of a step then belong to two units.
TEST_P(OwnRowsOfTokens, AcrossTheSplitsOfASegment) {
  for (const int64_t tokens : {1, 9, 17}) {
    Check({.groups = 0, .older = kFirst + 1024 - 4, .tokens = tokens});
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, OwnRowsOfTokens, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
