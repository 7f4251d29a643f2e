// Storing, copying and sealing of every instruction set: bit for bit those of the reference.
#include <gtest/gtest.h>

#include <cstring>

#include "parity/kv.h"

namespace quantspec::testing {
namespace {

class KvParity : public Parity {
 protected:
  static std::pair<std::vector<float>, std::vector<float>> LoadRow(Backend& backend,
                                                                   KvGeometry geometry,
                                                                   const DenseSegment& segment,
                                                                   int64_t row) {
    const auto columns = static_cast<size_t>(geometry.kv_heads * geometry.head_dim);
    std::vector<float> k(columns), v(columns);
    backend.LoadKv(geometry, segment, row, k.data(), v.data());
    return {k, v};
  }

  struct Codes {
    std::vector<uint8_t> k_upper, k_lower, v_upper, v_lower;
    std::vector<uint32_t> scales;
    bool operator==(const Codes&) const = default;
  };
  static Codes LoadCodes(Backend& backend, KvGeometry geometry, const SealedSegment& segment,
                         int head, int64_t slot) {
    const auto codes = static_cast<size_t>(kKvGroup * geometry.head_dim);
    const size_t parts = geometry.head_dim / ValueGroup(geometry.head_dim);
    Codes out;
    for (auto* plane : {&out.k_upper, &out.k_lower, &out.v_upper, &out.v_lower}) {
      plane->resize(codes);
    }
    std::vector<GroupScale> k_scales(geometry.head_dim), v_scales(kKvGroup * parts);
    backend.LoadGroup(geometry, segment, head, slot,
                      {out.k_upper.data(), out.k_lower.data(), out.v_upper.data(),
                       out.v_lower.data(), k_scales.data(), v_scales.data()});
    for (const auto& list : {k_scales, v_scales}) {
      for (const GroupScale& s : list) out.scales.push_back(uint32_t{s.scale} << 16 | s.zero);
    }
    return out;
  }
};

constexpr int kHeadDims[] = {16, 64, 80, 96, 128, 256};

TEST_P(KvParity, StoredRowsReadBack) {
  Random random(1);
  for (const KvType type : {KvType::kF16, KvType::kF32}) {
    for (const int head_dim : kHeadDims) {
      const KvGeometry geometry{3, head_dim};
      for (const int64_t first : {0, 5, 16, 31}) {
        for (int64_t rows = 1; rows <= 33; rows += rows < 17 ? 1 : 8) {
          KvData data(random, geometry, rows);
          data.k[0] = 1e6f;  // saturates in f16
          data.v[1] = -1e6f;
          OwnedDense fast(*cpu_, geometry, type, 80), plain(*reference_, geometry, type, 80);
          const int64_t columns = 3 * head_dim;
          cpu_->StoreKv(View(data.k, columns), View(data.v, columns), geometry, fast.segment,
                        first);
          reference_->StoreKv(View(data.k, columns), View(data.v, columns), geometry, plain.segment,
                              first);
          for (int64_t row = 0; row < 80; ++row) {
            ASSERT_EQ(LoadRow(*cpu_, geometry, fast.segment, row),
                      LoadRow(*reference_, geometry, plain.segment, row))
                << "head_dim " << head_dim << ", first " << first << ", row " << row;
          }
        }
      }
    }
  }
}

// What comes in is what a faulty model gives; what is stored can be sealed.
TEST_P(KvParity, NothingStoredAsF16IsInfiniteOrNaN) {
  const KvGeometry geometry{1, 16};
  const float values[] = {NAN, -NAN, INFINITY, -INFINITY};
  std::vector<float> x(16);
  for (size_t i = 0; i < x.size(); ++i) x[i] = values[i % 4];
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    OwnedDense f16(*backend, geometry, KvType::kF16, 16), f32(*backend, geometry, KvType::kF32, 16),
        copy(*backend, geometry, KvType::kF16, 16);
    backend->StoreKv(View(x, 16), View(x, 16), geometry, f16.segment, 3);
    backend->StoreKv(View(x, 16), View(x, 16), geometry, f32.segment, 3);
    backend->CopyKv(geometry, f32.segment, 3, 1, copy.segment, 5);
    for (const auto& [k, v] : {LoadRow(*backend, geometry, f16.segment, 3),
                               LoadRow(*backend, geometry, copy.segment, 5)}) {
      for (size_t i = 0; i < 16; ++i) {
        const float expected = i % 4 == 3 ? -65504.0f : 65504.0f;
        EXPECT_EQ(k[i], expected) << backend->isa() << ", " << values[i % 4];
        EXPECT_EQ(v[i], expected) << backend->isa() << ", " << values[i % 4];
      }
    }
  }
}

TEST_P(KvParity, CopiedRowsReadBack) {
  Random random(2);
  const KvGeometry geometry{2, 80};
  const KvData data(random, geometry, 96);
  for (const KvType from : {KvType::kF16, KvType::kF32}) {
    for (const KvType to : {KvType::kF16, KvType::kF32}) {
      for (const auto& [from_row, rows, to_row] :
           {std::array<int64_t, 3>{0, 96, 0}, {16, 33, 32}, {5, 40, 16}, {0, 7, 9}, {8, 1, 8}}) {
        std::vector<OwnedDense> segments;
        for (Backend* backend : {cpu_.get(), reference_.get()}) {
          OwnedDense source(*backend, geometry, from, 96);
          backend->StoreKv(View(data.k, 160), View(data.v, 160), geometry, source.segment, 0);
          segments.emplace_back(*backend, geometry, to, 128);
          backend->CopyKv(geometry, source.segment, from_row, rows, segments.back().segment,
                          to_row);
        }
        for (int64_t row = 0; row < 128; ++row) {
          ASSERT_EQ(LoadRow(*cpu_, geometry, segments[0].segment, row),
                    LoadRow(*reference_, geometry, segments[1].segment, row))
              << "row " << row;
        }
      }
    }
  }
}

TEST_P(KvParity, SealedCodesAreEqual) {
  Random random(3);
  for (const KvType type : {KvType::kF16, KvType::kF32}) {
    for (const int head_dim : kHeadDims) {
      const KvGeometry geometry{2, head_dim};
      KvData data(random, geometry, 3 * kKvGroup);
      for (int64_t t = 0; t < 3 * kKvGroup; ++t) {
        data.k[t * 2 * head_dim] = 0.0f;  // constant, zero
        data.k[t * 2 * head_dim + 1] = t % 2 ? 0.0f : -0.0f;
        data.k[t * 2 * head_dim + 2] = 3.25f;   // constant
        data.k[t * 2 * head_dim + 3] *= 1e-7f;  // vanishes in f16
        data.k[t * 2 * head_dim + 4] *= 1e6f;   // saturates
      }
      std::fill_n(data.v.begin() + 5 * 2 * head_dim, 2 * head_dim, -1.5f);
      OwnedCache fast(*cpu_, geometry, type, data, 3, 0, {2, 5, 0});
      OwnedCache plain(*reference_, geometry, type, data, 3, 0);
      for (int head = 0; head < 2; ++head) {
        for (int64_t group = 0; group < 3; ++group) {
          ASSERT_TRUE(LoadCodes(*cpu_, geometry, fast.sealed.segment, head, fast.slots[group]) ==
                      LoadCodes(*reference_, geometry, plain.sealed.segment, head, group))
              << "head_dim " << head_dim << ", head " << head << ", group " << group;
        }
      }
    }
  }
}

TEST_P(KvParity, UnsealedRowsAreEqual) {
  Random random(4);
  constexpr int64_t kFirst = 16;
  for (const int head_dim : kHeadDims) {
    const KvGeometry geometry{2, head_dim};
    KvData data(random, geometry, 2 * kKvGroup);
    for (int64_t t = 0; t < 2 * kKvGroup; ++t) {
      data.k[t * 2 * head_dim] = 3.25f;                             // constant
      data.k[t * 2 * head_dim + 1] = t % 2 ? 65504.0f : -65504.0f;  // beyond f16 once decoded
    }
    OwnedCache fast(*cpu_, geometry, KvType::kF16, data, 2, 0, {4, 1});
    OwnedCache plain(*reference_, geometry, KvType::kF16, data, 2, 0);
    for (const KvType type : {KvType::kF16, KvType::kF32}) {
      OwnedDense actual(*cpu_, geometry, type, 160), expected(*reference_, geometry, type, 160);
      cpu_->UnsealKv(geometry, fast.sealed.segment, 1, actual.segment, kFirst);
      reference_->UnsealKv(geometry, plain.sealed.segment, 1, expected.segment, kFirst);
      for (int64_t row = 0; row < 160; ++row) {
        ASSERT_EQ(LoadRow(*cpu_, geometry, actual.segment, row),
                  LoadRow(*reference_, geometry, expected.segment, row))
            << "head_dim " << head_dim << ", row " << row;
      }
      const auto [k, v] = LoadRow(*cpu_, geometry, actual.segment, kFirst);
      EXPECT_EQ(k[0], 3.25f);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, KvParity, ::testing::ValuesIn(IsaNames()), IsaName);

}  // namespace
}  // namespace quantspec::testing
