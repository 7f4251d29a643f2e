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

Group GroupAt(KvGeometry geometry, const SealedSegment& segment, int head, int64_t group) {
  const int64_t codes = CodesOf(geometry);
  const int64_t index = head * segment.capacity + group;
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
                                const SealedSegment& to, int64_t first_group,
                                int64_t groups) noexcept {
  const int value_group = ValueGroup(geometry.head_dim);
  const int value_groups = geometry.head_dim / value_group;
  float x[kKvGroup];
  uint8_t upper[kKvGroup];
  uint8_t lower[kKvGroup];
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = from_row + g * kKvGroup;
    for (int head = 0; head < geometry.kv_heads; ++head) {
      const Group out = GroupAt(geometry, to, head, first_group + g);
      for (int channel = 0; channel < geometry.head_dim; ++channel) {
        for (int t = 0; t < kKvGroup; ++t) {
          x[t] = LoadDense(from.type, from.keys, DenseIndex(geometry, first + t, head, channel));
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
                             DenseIndex(geometry, first + t, head, channel + i));
          }
          const int64_t codes = int64_t{t} * geometry.head_dim + channel;
          out.v_scales[t * value_groups + part] =
              EncodeGroup(x, value_group, 1, out.v_upper + codes, out.v_lower + codes);
        }
      }
    }
  }
}

namespace {

// Calls visit(position, key(channel), value(channel)) for every token that a query at `position`
// sees, in the order of the view.
template <typename Visit>
void ForEachToken(const KvView& kv, int head, int64_t position, Visit visit) {
  const KvGeometry geometry = kv.geometry;
  const int value_group = ValueGroup(geometry.head_dim);
  const int64_t groups = kv.ReadGroups();
  for (int64_t g = 0; g < groups; ++g) {
    const Group group =
        GroupAt(geometry, kv.sealed, head, kv.chosen == nullptr ? g : kv.chosen[head * groups + g]);
    for (int t = 0; t < kKvGroup; ++t) {
      const int64_t first = int64_t{t} * geometry.head_dim;
      const auto lower = [&](const uint8_t* plane, int64_t index) {
        return kv.planes == Planes::kBoth ? plane[index] : uint8_t{0};
      };
      visit(
          [&](int c) {
            return DecodeValue(group.k_scales[c], group.k_upper[first + c],
                               lower(group.k_lower, first + c), kv.planes);
          },
          [&](int c) {
            const int index = t * (geometry.head_dim / value_group) + c / value_group;
            return DecodeValue(group.v_scales[index], group.v_upper[first + c],
                               lower(group.v_lower, first + c), kv.planes);
          });
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

// KvView::group_weights of one row, whose scores and their softmax are given; the largest so far
// stays.
void WeighGroups(const double* scores, double highest, double sum, int64_t groups, float* weights) {
  for (int64_t g = 0; g < groups; ++g) {
    double part = 0.0;
    for (int t = 0; t < kKvGroup; ++t) part += std::exp(scores[g * kKvGroup + t] - highest);
    weights[g] = std::max(weights[g], static_cast<float>(std::log2(part / sum)));
  }
}

// One head of the token at `position`, turned; `out` has head_dim values.
void Turn(const Rotation& rotation, int64_t position, const float* x, int head_dim, float* out) {
  std::copy_n(x, head_dim, out);
  const int half = rotation.rotated / 2;
  for (int i = 0; i < half; ++i) {
    const bool pairs = rotation.layout == RopeLayout::kPairs;
    float& a = pairs ? out[2 * i] : out[i];
    float& b = pairs ? out[2 * i + 1] : out[i + half];
    const float* angle = rotation.table + position * rotation.rotated + 2 * i;
    const double cosine = angle[0];
    const double sine = angle[1];
    const double turned_a = a * cosine - b * sine;
    const double turned_b = a * sine + b * cosine;
    a = static_cast<float>(turned_a);
    b = static_cast<float>(turned_b);
  }
}

// Writes the tokens' own keys and values.
void StoreOwnRows(const AttendArgs& args) {
  const KvGeometry geometry = args.kv.geometry;
  float key[256];
  for (int i = 0; i < args.kv.dense_count; ++i) {
    const DenseSegment& segment = args.kv.dense[i];
    const RowRange own = OwnRows(args, segment);
    for (int64_t row = own.first; row < own.last; ++row) {
      const int64_t position = segment.first_position + row;
      const int64_t token = position - args.first_position;
      for (int head = 0; head < geometry.kv_heads; ++head) {
        const int64_t at = int64_t{head} * geometry.head_dim;
        Turn(args.rotation, position, args.k.Row(token) + at, geometry.head_dim, key);
        for (int c = 0; c < geometry.head_dim; ++c) {
          const int64_t index = DenseIndex(geometry, row, head, c);
          StoreDense(segment.type, segment.keys, index, key[c]);
          StoreDense(segment.type, segment.values, index, args.v.Row(token)[at + c]);
        }
      }
    }
  }
}

}  // namespace

void ReferenceBackend::DoAttend(const AttendArgs& args) noexcept {
  const int head_dim = args.kv.geometry.head_dim;
  const int heads_per_kv = args.q_heads / args.kv.geometry.kv_heads;
  auto* scores = scores_.As<double>();
  const int64_t groups = args.kv.sealed.groups;
  if (args.kv.group_weights != nullptr) {
    std::fill_n(args.kv.group_weights, args.kv.geometry.kv_heads * groups, -INFINITY);
  }
  int64_t most = groups * kKvGroup;
  for (int i = 0; i < args.kv.dense_count; ++i) most += args.kv.dense[i].rows;
  QS_CHECK(static_cast<size_t>(most) * sizeof(double) <= scores_.bytes());
  if (args.k.rows > 0) StoreOwnRows(args);
  for (int64_t row = 0; row < args.q.rows; ++row) {
    const int64_t position = args.first_position + row;
    for (int q_head = 0; q_head < args.q_heads; ++q_head) {
      float q[256];
      Turn(args.rotation, position, args.q.Row(row) + int64_t{q_head} * head_dim, head_dim, q);
      const int head = q_head / heads_per_kv;
      int64_t tokens = 0;
      double highest = -INFINITY;
      ForEachToken(args.kv, head, position, [&](auto key, auto) {
        double score = 0.0;
        for (int c = 0; c < head_dim; ++c) score += double{q[c]} * key(c);
        scores[tokens] = score * args.scale;
        highest = std::max(highest, scores[tokens++]);
      });
      double sum = 0.0;
      double out[256] = {};
      int64_t token = 0;
      ForEachToken(args.kv, head, position, [&](auto, auto value) {
        const double weight = std::exp(scores[token++] - highest);
        sum += weight;
        for (int c = 0; c < head_dim; ++c) out[c] += weight * value(c);
      });
      float* row_out = args.out.Row(row) + int64_t{q_head} * head_dim;
      for (int c = 0; c < head_dim; ++c) row_out[c] = static_cast<float>(out[c] / sum);
      if (args.kv.group_weights != nullptr) {
        WeighGroups(scores, highest, sum, groups, args.kv.group_weights + head * groups);
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
                                   int64_t group, const GroupCodes& out) const noexcept {
  const Group from = GroupAt(geometry, segment, head, group);
  const int64_t codes = CodesOf(geometry);
  std::copy_n(from.k_upper, codes, out.k_upper);
  std::copy_n(from.k_lower, codes, out.k_lower);
  std::copy_n(from.v_upper, codes, out.v_upper);
  std::copy_n(from.v_lower, codes, out.v_lower);
  std::copy_n(from.k_scales, geometry.head_dim, out.k_scales);
  std::copy_n(from.v_scales, ValueScalesOf(geometry), out.v_scales);
}

}  // namespace quantspec
