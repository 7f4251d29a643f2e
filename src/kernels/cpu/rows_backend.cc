// Choosing and gathering single rows of the cache on the CPU; weigh_backend.cc weighs them.
#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.h"
#include "kernels/cpu/attention_memory.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/dense_copy.h"

namespace quantspec::cpu {
namespace {

constexpr int64_t kInlineColumns = 2048;       // masses that ChooseRows reads on the caller
constexpr int64_t kInlineValues = 16 * 1024;   // that GatherKv copies on the caller
constexpr int64_t kGatherRows = 4 * kKvGroup;  // of a unit: groups cut in two are decoded twice

// Slot of a group of a view without gaps.
int32_t SlotOf(const KvView& kv, int64_t group) {
  int i = 0;
  for (; group >= kv.runs[i].count; ++i) group -= kv.runs[i].count;
  return kv.runs[i].slots[group];
}
// The segment that holds a position behind the groups.
const DenseSegment& SegmentOf(const KvView& kv, int64_t position) {
  for (int i = 0; i < kv.dense_count; ++i) {
    const int64_t row = position - kv.dense[i].first_position;
    if (row >= 0 && row < kv.dense[i].rows) return kv.dense[i];
  }
  QS_CHECK(false);
}

// --------------------------------------------------------------------------------- choices

float MassOf(float x) { return x == x ? x : -std::numeric_limits<float>::infinity(); }

// Numbers in the order of floats; equal ones are equal, and NaN is -infinity.
uint32_t RankOf(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(MassOf(x) + 0.0f);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}

// The masses of `heads` query heads pooled and added, of columns [first, last).
template <RowPooling kPooling>
void PoolColumns(ConstRows masses, int64_t first_head, int64_t heads, int64_t first, int64_t last,
                 uint32_t* ranks) {
  constexpr int64_t kReach = kPooling == RowPooling::kNone    ? 0
                             : kPooling == RowPooling::kMean5 ? 2
                                                              : 3;
  for (int64_t t = first; t < last; ++t) {
    const int64_t begin = std::max<int64_t>(t - kReach, 0);
    const int64_t end = std::min(t + kReach + 1, masses.columns);
    float sum = 0.0f;
    for (int64_t head = first_head; head < first_head + heads; ++head) {
      const float* row = masses.Row(head);
      float pooled = kPooling == RowPooling::kMean5 ? 0.0f : MassOf(row[begin]);
      for (int64_t i = begin; i < end; ++i) {
        const float mass = MassOf(row[i]);
        pooled = kPooling == RowPooling::kMean5 ? pooled + mass : std::max(pooled, mass);
      }
      sum += kPooling == RowPooling::kMean5 ? pooled / 5.0f : pooled;
    }
    ranks[t] = RankOf(sum);
  }
}

// The columns of the `count` largest ranks, ascending; of equal ones the first. Finds the least
// rank that is taken byte by byte.
void TakeLargest(const uint32_t* ranks, int64_t columns, int64_t count, int32_t* out) {
  uint32_t least = 0;
  int64_t left = count;  // to take of those whose bytes so far are the ones of `least`
  for (int shift = 24; shift >= 0; shift -= 8) {
    int64_t counts[256] = {};
    const uint32_t known = shift == 24 ? 0 : ~uint32_t{0} << (shift + 8);
    for (int64_t t = 0; t < columns; ++t) {
      if ((ranks[t] & known) == least) ++counts[ranks[t] >> shift & 255];
    }
    uint32_t byte = 255;
    for (; counts[byte] < left; --byte) left -= counts[byte];
    least |= byte << shift;
  }
  for (int64_t t = 0; t < columns; ++t) {
    if (ranks[t] > least || (ranks[t] == least && left-- > 0)) *out++ = static_cast<int32_t>(t);
  }
}

}  // namespace

// Ranks stand in the memory of the states of an Attend.
void CpuBackend::DoChooseRows(ConstRows masses, int kv_heads, RowPooling pooling, int64_t count,
                              int32_t* chosen) noexcept {
  const int64_t columns = masses.columns;
  const int64_t heads = masses.rows / kv_heads;
  const Scratch scratch(attention_scratch_, limits_);
  QS_CHECK(kv_heads * columns <= scratch.shares.calls);
  auto* all_ranks = reinterpret_cast<uint32_t*>(scratch.states);
  const auto choose = [&](int64_t head) {
    uint32_t* ranks = all_ranks + head * columns;
    const auto pool = pooling == RowPooling::kNone    ? PoolColumns<RowPooling::kNone>
                      : pooling == RowPooling::kMean5 ? PoolColumns<RowPooling::kMean5>
                                                      : PoolColumns<RowPooling::kMax7>;
    pool(masses, head * heads, heads, 0, columns, ranks);
    TakeLargest(ranks, columns, count, chosen + head * count);
  };
  ForUnits(kv_heads, masses.rows * columns <= kInlineColumns, choose);
}

void CpuBackend::DoGatherKv(KvGeometry geometry, const KvView& from, const int32_t* rows,
                            int64_t count, const DenseSegment& to, int64_t to_row) noexcept {
  const int head_dim = geometry.head_dim;
  const int64_t sealed = from.Groups() * kKvGroup;
  const int64_t parts = CeilDiv(count, kGatherRows);
  const Scratch scratch(attention_scratch_, limits_);
  QS_CHECK(head_dim == limits_.geometry.head_dim);
  const auto gather = [&](int thread, int64_t unit) {
    const int head = static_cast<int>(unit / parts);
    const int64_t first = unit % parts * kGatherRows;
    const int64_t last = std::min(first + kGatherRows, count);
    const int32_t* positions = rows + head * count;
    auto* keys = reinterpret_cast<std::byte*>(scratch.Of(thread).unsealed);
    std::byte* values = keys + ElementBytes(to.type) * kKvGroup * head_dim;
    HeadCopy copy{to.type,
                  to.type,
                  keys,
                  values,
                  HeadOf(to.keys, to.type, head_dim, to.capacity, head),
                  HeadOf(to.values, to.type, head_dim, to.capacity, head),
                  head_dim};
    int64_t i = first;
    int64_t group = -1;  // the one that is decoded
    for (; i < last && positions[i] < sealed; ++i) {
      if (positions[i] / kKvGroup != group) {
        group = positions[i] / kKvGroup;
        table_.kv.unseal({GroupOf(from.sealed, head_dim, head, SlotOf(from, group)), Planes::kBoth,
                          to.type, head_dim, keys, values});
      }
      CopyRows(copy, positions[i] % kKvGroup, 1, to_row + i);
    }
    while (i < last) {
      const DenseSegment& segment = SegmentOf(from, positions[i]);
      const int64_t at = DenseRowsAt(segment, head_dim, head);
      copy.from_type = segment.type;
      copy.from_keys = segment.keys + at;
      copy.from_values = segment.values + at;
      const int64_t row = positions[i] - segment.first_position;
      int64_t neighbours = 1;
      while (i + neighbours < last && row + neighbours < segment.rows &&
             positions[i + neighbours] == positions[i] + neighbours) {
        ++neighbours;
      }
      CopyRows(copy, row, neighbours, to_row + i);
      i += neighbours;
    }
  };
  const bool is_small = count * head_dim * geometry.kv_heads <= kInlineValues;
  RunUnits(pool_, geometry.kv_heads * parts, 0, is_small, gather);
}

}  // namespace quantspec::cpu
