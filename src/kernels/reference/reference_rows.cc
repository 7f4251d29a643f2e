// What reads single rows of the reference backend's cache: weighing, choosing, gathering.
#include <algorithm>
#include <cmath>

#include "kernels/reference/reference_backend.h"
#include "kernels/reference/reference_layout.h"

namespace quantspec {
namespace {

using reference::Capped;
using reference::DenseIndex;
using reference::Group;
using reference::GroupAt;
using reference::LoadDense;
using reference::StoreDense;

// Calls visit(key(channel), value(channel)) for the token at a position of a view without gaps.
template <typename Visit>
void VisitToken(KvGeometry geometry, const KvView& kv, int head, int64_t position, Visit visit) {
  int64_t group = position / kKvGroup;
  for (int i = 0; i < kv.run_count; group -= kv.runs[i++].count) {
    if (group >= kv.runs[i].count) continue;
    const Group from = GroupAt(geometry, kv.sealed, head, kv.runs[i].slots[group]);
    const int t = static_cast<int>(position % kKvGroup);
    visit([&](int c) { return KeyOf(from, geometry.head_dim, t, c, Planes::kBoth); },
          [&](int c) { return ValueOf(from, geometry.head_dim, t, c, Planes::kBoth); });
    return;
  }
  for (int i = 0; i < kv.dense_count; ++i) {
    const DenseSegment& segment = kv.dense[i];
    const int64_t row = position - segment.first_position;
    if (row < 0 || row >= segment.rows) continue;
    const int64_t first = DenseIndex(geometry, segment.first_row + row, head, 0);
    visit([&](int c) { return LoadDense(segment.type, segment.keys, first + c); },
          [&](int c) { return LoadDense(segment.type, segment.values, first + c); });
    return;
  }
  QS_CHECK(false);  // no such token
}

float MassOf(float x) { return std::isnan(x) ? -INFINITY : x; }

float Pooled(const float* masses, int64_t columns, int64_t column, RowPooling pooling) {
  const int64_t reach = pooling == RowPooling::kNone ? 0 : pooling == RowPooling::kMean5 ? 2 : 3;
  float sum = 0.0f, most = -INFINITY;
  for (int64_t i = column - reach; i <= column + reach; ++i) {
    if (i < 0 || i >= columns) continue;
    sum += MassOf(masses[i]);
    most = std::max(most, MassOf(masses[i]));
  }
  return pooling == RowPooling::kMean5 ? sum / 5.0f : most;
}

}  // namespace

void ReferenceBackend::DoWeighRows(const WeighArgs& args) noexcept {
  const KvGeometry geometry = args.geometry;
  const int head_dim = geometry.head_dim;
  const int heads_per_kv = args.q_heads / geometry.kv_heads;
  const int64_t tokens = args.kv.Tokens();
  auto* scores = scores_.As<double>();
  QS_CHECK(static_cast<size_t>(tokens) * sizeof(double) <= scores_.bytes());
  for (int q_head = 0; q_head < args.q_heads; ++q_head) {
    float* masses = args.masses.Row(q_head);
    std::fill_n(masses, args.masses.columns, 0.0f);
    for (int64_t row = 0; row < args.q.rows; ++row) {
      const float* q = args.q.Row(row) + int64_t{q_head} * head_dim;
      const int64_t seen = std::min(args.first_position + row + 1, tokens);
      double highest = -INFINITY, sum = 0.0;
      for (int64_t t = 0; t < seen; ++t) {
        double score = 0.0;
        VisitToken(geometry, args.kv, q_head / heads_per_kv, t, [&](auto key, auto) {
          for (int c = 0; c < head_dim; ++c) score += double{q[c]} * key(c);
        });
        scores[t] = Capped(score * args.scale, args.softcap);
        highest = std::max(highest, scores[t]);
      }
      for (int64_t t = 0; t < seen; ++t) sum += std::exp(scores[t] - highest);
      for (int64_t t = 0; t < std::min(seen, args.masses.columns); ++t) {
        masses[t] += static_cast<float>(std::exp(scores[t] - highest) / sum);
      }
    }
  }
}

void ReferenceBackend::DoChooseRows(ConstRows masses, int kv_heads, RowPooling pooling,
                                    int64_t count, int32_t* chosen) noexcept {
  const int64_t columns = masses.columns;
  const int64_t heads_per_kv = masses.rows / kv_heads;
  auto* weights = scores_.As<float>();
  QS_CHECK(static_cast<size_t>(columns) * sizeof(float) <= scores_.bytes());
  for (int64_t head = 0; head < kv_heads; ++head) {
    for (int64_t t = 0; t < columns; ++t) {
      float sum = 0.0f;
      for (int64_t q_head = head * heads_per_kv; q_head < (head + 1) * heads_per_kv; ++q_head) {
        sum += Pooled(masses.Row(q_head), columns, t, pooling);
      }
      weights[t] = MassOf(sum);
    }
    for (int64_t t = 0; t < columns; ++t) {
      int64_t before = 0;  // tokens that are chosen before this one
      for (int64_t other = 0; other < columns; ++other) {
        before += weights[other] > weights[t] || (weights[other] == weights[t] && other < t);
      }
      if (before < count) *chosen++ = static_cast<int32_t>(t);
    }
  }
}

void ReferenceBackend::DoGatherKv(KvGeometry geometry, const KvView& from, const int32_t* rows,
                                  int64_t count, const DenseSegment& to, int64_t to_row) noexcept {
  for (int head = 0; head < geometry.kv_heads; ++head) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = DenseIndex(geometry, to_row + i, head, 0);
      VisitToken(geometry, from, head, rows[head * count + i], [&](auto key, auto value) {
        for (int c = 0; c < geometry.head_dim; ++c) {
          StoreDense(to.type, to.keys, first + c, key(c));
          StoreDense(to.type, to.values, first + c, value(c));
        }
      });
    }
  }
}

}  // namespace quantspec
