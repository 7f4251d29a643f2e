// Views without gaps that own what they show.
#pragma once

#include <numeric>
#include <vector>

#include "parity/kv.h"

namespace quantspec::testing {

// Sealed groups in scattered slots, cut into two runs, then dense segments.
struct ViewSpec {
  struct Piece {
    int64_t rows = 0;
    int64_t first_row = 0;
  };
  KvGeometry geometry{2, 64};
  int64_t groups = 0;
  int64_t first_run = 0;  // groups of the first run; 0: there is one run
  std::vector<Piece> dense;
  KvType type = KvType::kF16;

  int64_t Tokens() const {
    int64_t tokens = groups * kKvGroup;
    for (const Piece& piece : dense) tokens += piece.rows;
    return tokens;
  }
};

struct OwnedView {
  OwnedSealed sealed;
  std::vector<OwnedDense> dense;
  std::vector<int32_t> slots;
  KvView view;

  OwnedView(Backend& backend, const ViewSpec& spec, const KvData& data)
      : sealed(backend, spec.geometry, spec.groups + 1) {
    const KvGeometry geometry = spec.geometry;
    const int64_t columns = int64_t{geometry.kv_heads} * geometry.head_dim;
    const ConstRows k(data.k.data(), spec.Tokens(), columns);
    const ConstRows v(data.v.data(), spec.Tokens(), columns);
    OwnedDense group(backend, geometry, KvType::kF32, kKvGroup);
    for (int64_t g = 0; g < spec.groups; ++g) {
      slots.push_back(static_cast<int32_t>(spec.groups - g));
      backend.StoreKv(k.Rows(g * kKvGroup, kKvGroup), v.Rows(g * kKvGroup, kKvGroup), geometry,
                      group.segment, 0);
      backend.SealKv(geometry, group.segment, 0, sealed.segment, slots.back());
    }
    view.sealed = sealed.segment;
    if (spec.first_run > 0) view.runs[view.run_count++] = {slots.data(), spec.first_run};
    view.runs[view.run_count++] = {slots.data() + spec.first_run, spec.groups - spec.first_run};
    int64_t position = spec.groups * kKvGroup;
    const std::vector<float> stale(static_cast<size_t>(columns), 60000.0f);
    for (const ViewSpec::Piece& piece : spec.dense) {
      const int64_t end = piece.first_row + piece.rows;
      dense.emplace_back(backend, geometry, spec.type, RoundUp(end + 1, kDenseRows));
      DenseSegment& segment = dense.back().segment;
      segment.rows = piece.rows;
      segment.first_row = piece.first_row;
      segment.first_position = position;
      backend.StoreKv(k.Rows(position, piece.rows), v.Rows(position, piece.rows), geometry, segment,
                      piece.first_row);
      // Rows beside the live ones would be seen if they were read.
      for (int64_t row = 0; row < segment.capacity; ++row) {
        if (row >= piece.first_row && row < end) continue;
        backend.StoreKv(View(stale, columns), View(stale, columns), geometry, segment, row);
      }
      view.dense[view.dense_count++] = segment;
      position += piece.rows;
    }
  }
};

}  // namespace quantspec::testing
