// The cache half of the reference backend.
#include <algorithm>
#include <cmath>

#include "kernels/reference/reference_backend.h"

namespace quantspec {
namespace {

// Element of a dense segment's keys or values.
int64_t DenseIndex(KvGeometry geometry, int64_t row, int head, int channel) {
  return (row * geometry.kv_heads + head) * geometry.head_dim + channel;
}

float LoadDense(KvType type, const std::byte* data, int64_t index) {
  if (type == KvType::kF32) return reinterpret_cast<const float*>(data)[index];
  return FloatFromF16(reinterpret_cast<const F16*>(data)[index]);
}

void StoreDense(KvType type, std::byte* data, int64_t index, float value) {
  if (type == KvType::kF32) {
    reinterpret_cast<float*>(data)[index] = value;
  } else {
    reinterpret_cast<F16*>(data)[index] = F16FromFloatSaturated(value);
  }
}

int64_t CodesOf(KvGeometry geometry) { return int64_t{kKvGroup} * geometry.head_dim; }
int64_t ValueScalesOf(KvGeometry geometry) {
  return int64_t{kKvGroup} * (geometry.head_dim / ValueGroup(geometry.head_dim));
}

// One head's group.
struct Group {
  uint8_t *k_upper, *k_lower, *v_upper, *v_lower;  // [kKvGroup][head_dim]
  GroupScale* k_scales;                            // [head_dim]
  GroupScale* v_scales;                            // [kKvGroup][head_dim / ValueGroup]
};

Group GroupAt(KvGeometry geometry, const SealedSegment& segment, int head, int64_t slot) {
  const int64_t codes = CodesOf(geometry);
  const int64_t index = head * segment.capacity + slot;
  auto* upper = reinterpret_cast<uint8_t*>(segment.upper) + index * 2 * codes;
  uint8_t* lower = segment.lower == nullptr
                       ? nullptr
                       : reinterpret_cast<uint8_t*>(segment.lower) + index * 2 * codes;
  auto* scales = reinterpret_cast<GroupScale*>(segment.scales) +
                 index * (geometry.head_dim + ValueScalesOf(geometry));
  return {upper,         lower,
          upper + codes, lower == nullptr ? nullptr : lower + codes,
          scales,        scales + geometry.head_dim};
}

}  // namespace

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

namespace {

// Of token t of a group, channel c.
float KeyOf(const Group& group, int head_dim, int t, int c, Planes planes) {
  const int64_t at = int64_t{t} * head_dim + c;
  const uint8_t lower = planes == Planes::kBoth ? group.k_lower[at] : uint8_t{0};
  return DecodeValue(group.k_scales[c], group.k_upper[at], lower, planes);
}
float ValueOf(const Group& group, int head_dim, int t, int c, Planes planes) {
  const int64_t at = int64_t{t} * head_dim + c;
  const uint8_t lower = planes == Planes::kBoth ? group.v_lower[at] : uint8_t{0};
  const int part = ValueGroup(head_dim);
  return DecodeValue(group.v_scales[t * (head_dim / part) + c / part], group.v_upper[at], lower,
                     planes);
}

}  // namespace

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
void ForEachToken(KvGeometry geometry, const KvView& kv, int head, int64_t position, Visit visit) {
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
  for (int i = 0; i < kv.dense_count; ++i) {
    const DenseSegment& segment = kv.dense[i];
    for (int64_t row = 0; row < segment.rows && segment.first_position + row <= position; ++row) {
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
  int64_t most = rows.kv.Groups() * kKvGroup;
  for (int i = 0; i < rows.kv.dense_count; ++i) most += rows.kv.dense[i].rows;
  QS_CHECK(static_cast<size_t>(most) * sizeof(double) <= scores_.bytes());
  for (int64_t row = 0; row < rows.rows; ++row) {
    const int64_t position = rows.first_position + row;
    const bool gives_masses = args.math == AttendMath::kCodes || row == rows.rows - 1;
    for (int q_head = 0; q_head < args.q_heads; ++q_head) {
      const float* q = args.q.Row(rows.first_row + row) + int64_t{q_head} * head_dim;
      const int head = q_head / heads_per_kv;
      int64_t tokens = 0;
      double highest = -INFINITY;
      ForEachToken(geometry, rows.kv, head, position, [&](auto key, auto) {
        double score = 0.0;
        for (int c = 0; c < head_dim; ++c) score += double{q[c]} * key(c);
        scores[tokens] = score * args.scale;
        highest = std::max(highest, scores[tokens++]);
      });
      double sum = 0.0;
      double out[256] = {};
      int64_t token = 0;
      ForEachToken(geometry, rows.kv, head, position, [&](auto, auto value) {
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
