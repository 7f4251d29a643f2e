// The cache of the reference backend; what reads single rows of it is in reference_rows.cc.
#include <algorithm>
#include <cmath>

#include "kernels/reference/reference_backend.h"
#include "kernels/reference/reference_layout.h"

namespace quantspec {

using reference::Capped;
using reference::CodesOf;
using reference::DenseIndex;
using reference::Group;
using reference::GroupAt;
using reference::KeyOf;
using reference::LoadDense;
using reference::StoreDense;
using reference::ValueOf;
using reference::ValueScalesOf;

size_t ReferenceBackend::DenseBytes(KvGeometry geometry, KvType type, int64_t capacity) const {
  const int64_t values = capacity * geometry.kv_heads * geometry.head_dim;
  return static_cast<size_t>(values * (type == KvType::kF32 ? 4 : 2));
}

SealedBytes ReferenceBackend::SizeOf(KvGeometry geometry, int64_t capacity) const {
  const int64_t groups = capacity * geometry.kv_heads;
  const auto plane = static_cast<size_t>(groups * 2 * CodesOf(geometry));
  const int64_t scales = groups * (geometry.head_dim + ValueScalesOf(geometry));
  return {plane, plane, static_cast<size_t>(scales) * sizeof(GroupScale)};
}

void ReferenceBackend::DoStoreKv(ConstRows k, ConstRows v, KvGeometry geometry,
                                 const DenseSegment& segment, int64_t first_row) noexcept {
  for (int64_t row = 0; row < k.rows; ++row) {
    for (int64_t i = 0; i < k.columns; ++i) {
      const int64_t index = DenseIndex(geometry, first_row + row, 0, 0) + i;
      StoreDense(segment.type, segment.keys, index, k.Row(row)[i]);
      StoreDense(segment.type, segment.values, index, v.Row(row)[i]);
    }
  }
}

void ReferenceBackend::DoCopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                                int64_t rows, const DenseSegment& to, int64_t to_row) noexcept {
  const int64_t first = DenseIndex(geometry, from_row, 0, 0);
  const int64_t target = DenseIndex(geometry, to_row, 0, 0);
  for (int64_t i = 0; i < DenseIndex(geometry, rows, 0, 0); ++i) {
    StoreDense(to.type, to.keys, target + i, LoadDense(from.type, from.keys, first + i));
    StoreDense(to.type, to.values, target + i, LoadDense(from.type, from.values, first + i));
  }
}

void ReferenceBackend::DoSealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                                const SealedSegment& to, int64_t slot) noexcept {
  const int value_group = ValueGroup(geometry.head_dim);
  const int value_groups = geometry.head_dim / value_group;
  float x[kKvGroup];
  uint8_t upper[kKvGroup];
  uint8_t lower[kKvGroup];
  for (int head = 0; head < geometry.kv_heads; ++head) {
    const Group out = GroupAt(geometry, to, head, slot);
    for (int channel = 0; channel < geometry.head_dim; ++channel) {
      for (int t = 0; t < kKvGroup; ++t) {
        x[t] = LoadDense(from.type, from.keys, DenseIndex(geometry, from_row + t, head, channel));
      }
      out.k_scales[channel] = EncodeGroup(x, kKvGroup, 1, upper, lower);
      for (int t = 0; t < kKvGroup; ++t) {
        out.k_upper[t * geometry.head_dim + channel] = upper[t];
        out.k_lower[t * geometry.head_dim + channel] = lower[t];
      }
    }
    for (int t = 0; t < kKvGroup; ++t) {
      for (int part = 0; part < value_groups; ++part) {
        const int channel = part * value_group;
        for (int i = 0; i < value_group; ++i) {
          x[i] = LoadDense(from.type, from.values,
                           DenseIndex(geometry, from_row + t, head, channel + i));
        }
        const int64_t codes = int64_t{t} * geometry.head_dim + channel;
        out.v_scales[t * value_groups + part] =
            EncodeGroup(x, value_group, 1, out.v_upper + codes, out.v_lower + codes);
      }
    }
  }
}

void ReferenceBackend::DoUnsealKv(KvGeometry geometry, const SealedSegment& from, int64_t slot,
                                  const DenseSegment& to, int64_t to_row) noexcept {
  for (int head = 0; head < geometry.kv_heads; ++head) {
    const Group group = GroupAt(geometry, from, head, slot);
    for (int t = 0; t < kKvGroup; ++t) {
      for (int c = 0; c < geometry.head_dim; ++c) {
        const int64_t index = DenseIndex(geometry, to_row + t, head, c);
        StoreDense(to.type, to.keys, index, KeyOf(group, geometry.head_dim, t, c, Planes::kBoth));
        StoreDense(to.type, to.values, index,
                   ValueOf(group, geometry.head_dim, t, c, Planes::kBoth));
      }
    }
  }
}

void ReferenceBackend::DoChooseGroups(ConstRows masses, std::span<const int32_t> slots,
                                      int64_t count, int32_t* chosen) noexcept {
  const auto groups = static_cast<int64_t>(slots.size());
  for (int64_t head = 0; head < masses.rows; ++head) {
    const auto mass = [&](int64_t group) {
      if (group >= masses.columns) return INFINITY;
      const float x = masses.Row(head)[group];
      return std::isnan(x) ? -INFINITY : x;
    };
    for (int64_t group = 0; group < groups; ++group) {
      int64_t before = 0;  // groups that are chosen before this one
      for (int64_t other = 0; other < groups; ++other) {
        before += mass(other) > mass(group) || (mass(other) == mass(group) && other < group);
      }
      if (before < count) *chosen++ = slots[static_cast<size_t>(group)];
    }
  }
}

// ------------------------------------------------------------------------------ attention

namespace {

// Calls visit(key(channel), value(channel)) for every token that a query at `position` sees, in the
// order of the view.
template <typename Visit>
void ForEachToken(KvGeometry geometry, const KvView& kv, int head, int64_t position, int64_t window,
                  Visit visit) {
  for (int i = 0; i < kv.run_count; ++i) {
    const GroupRun& run = kv.runs[i];
    const int32_t* slots = run.slots + (run.by_head ? head * run.count : 0);
    for (int64_t g = 0; g < run.count; ++g) {
      const Group group = GroupAt(geometry, kv.sealed, head, slots[g]);
      for (int t = 0; t < kKvGroup; ++t) {
        visit([&](int c) { return KeyOf(group, geometry.head_dim, t, c, run.planes); },
              [&](int c) { return ValueOf(group, geometry.head_dim, t, c, run.planes); });
      }
    }
  }
  for (int s = 0; s < kv.dense_count; ++s) {
    const DenseSegment& segment = kv.dense[s];
    for (int64_t i = 0; i < segment.rows && segment.first_position + i <= position; ++i) {
      if (window > 0 && segment.first_position + i <= position - window) continue;
      const int64_t row = segment.first_row + i;
      visit(
          [&](int c) {
            return LoadDense(segment.type, segment.keys, DenseIndex(geometry, row, head, c));
          },
          [&](int c) {
            return LoadDense(segment.type, segment.values, DenseIndex(geometry, row, head, c));
          });
    }
  }
}

// AttendRows::masses of one row, whose scores and their softmax are given; the largest so far
// stays.
void TakeMasses(const double* scores, double highest, double sum, int64_t groups, float* masses) {
  for (int64_t g = 0; g < groups; ++g) {
    double part = 0.0;
    for (int t = 0; t < kKvGroup; ++t) part += std::exp(scores[g * kKvGroup + t] - highest);
    masses[g] = std::max(masses[g], static_cast<float>(std::log2(part / sum)));
  }
}

}  // namespace

void ReferenceBackend::DoAttend(const AttendArgs& args) noexcept {
  for (const AttendRows& rows : args.sequences) AttendSequence(args, rows);
}

void ReferenceBackend::AttendSequence(const AttendArgs& args, const AttendRows& rows) {
  const KvGeometry geometry = args.geometry;
  const int head_dim = geometry.head_dim;
  const int heads_per_kv = args.q_heads / geometry.kv_heads;
  auto* scores = scores_.As<double>();
  const bool has_masses = rows.masses != nullptr && rows.kv.run_count > 0;
  const int64_t groups = has_masses ? rows.kv.runs[0].count : 0;
  std::fill_n(rows.masses, geometry.kv_heads * groups, -INFINITY);
  QS_CHECK(static_cast<size_t>(rows.kv.Tokens()) * sizeof(double) <= scores_.bytes());
  for (int64_t row = 0; row < rows.rows; ++row) {
    const int64_t position = rows.first_position + row;
    const bool gives_masses = args.math == AttendMath::kCodes || row == rows.rows - 1;
    for (int q_head = 0; q_head < args.q_heads; ++q_head) {
      const float* q = args.q.Row(rows.first_row + row) + int64_t{q_head} * head_dim;
      const int head = q_head / heads_per_kv;
      int64_t tokens = 0;
      double highest = -INFINITY;
      ForEachToken(geometry, rows.kv, head, position, args.window, [&](auto key, auto) {
        double score = 0.0;
        for (int c = 0; c < head_dim; ++c) score += double{q[c]} * key(c);
        scores[tokens] = Capped(score * args.scale, args.softcap);
        highest = std::max(highest, scores[tokens++]);
      });
      double sum = 0.0;
      double out[256] = {};
      int64_t token = 0;
      ForEachToken(geometry, rows.kv, head, position, args.window, [&](auto, auto value) {
        const double weight = std::exp(scores[token++] - highest);
        sum += weight;
        for (int c = 0; c < head_dim; ++c) out[c] += weight * value(c);
      });
      float* row_out = args.out.Row(rows.first_row + row) + int64_t{q_head} * head_dim;
      for (int c = 0; c < head_dim; ++c) row_out[c] = static_cast<float>(out[c] / sum);
      if (gives_masses && groups > 0) {
        TakeMasses(scores, highest, sum, groups, rows.masses + head * groups);
      }
    }
  }
}

void ReferenceBackend::DoLoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row,
                                float* k, float* v) const noexcept {
  const int64_t first = DenseIndex(geometry, row, 0, 0);
  for (int64_t i = 0; i < int64_t{geometry.kv_heads} * geometry.head_dim; ++i) {
    k[i] = LoadDense(segment.type, segment.keys, first + i);
    v[i] = LoadDense(segment.type, segment.values, first + i);
  }
}

void ReferenceBackend::DoLoadGroup(KvGeometry geometry, const SealedSegment& segment, int head,
                                   int64_t slot, const GroupCodes& out) const noexcept {
  const Group from = GroupAt(geometry, segment, head, slot);
  const int64_t codes = CodesOf(geometry);
  std::copy_n(from.k_upper, codes, out.k_upper);
  std::copy_n(from.k_lower, codes, out.k_lower);
  std::copy_n(from.v_upper, codes, out.v_upper);
  std::copy_n(from.v_lower, codes, out.v_lower);
  std::copy_n(from.k_scales, geometry.head_dim, out.k_scales);
  std::copy_n(from.v_scales, ValueScalesOf(geometry), out.v_scales);
}

}  // namespace quantspec
