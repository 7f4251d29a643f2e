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

// A token's pooled mass, of columns [begin, end).
template <RowPooling kPooling>
float Pooled(const float* masses, int64_t begin, int64_t end) {
  float pooled = kPooling == RowPooling::kMean5 ? 0.0f : MassOf(masses[begin]);
  for (int64_t i = begin; i < end; ++i) {
    const float mass = MassOf(masses[i]);
    pooled = kPooling == RowPooling::kMean5 ? pooled + mass : std::max(pooled, mass);
  }
  return kPooling == RowPooling::kMean5 ? pooled / 5.0f : pooled;
}

// Adds pooled masses of all columns.
template <RowPooling kPooling>
void AddPooled(const float* masses, int64_t columns, float* sums) {
  constexpr int64_t kReach = kPooling == RowPooling::kNone    ? 0
                             : kPooling == RowPooling::kMean5 ? 2
                                                              : 3;
  const auto add_at_end = [&](int64_t t) {
    sums[t] += Pooled<kPooling>(masses, std::max<int64_t>(t - kReach, 0),
                                std::min(t + kReach + 1, columns));
  };
  const int64_t first = std::min(kReach, columns);
  const int64_t last = std::max(columns - kReach, first);
  for (int64_t t = 0; t < first; ++t) add_at_end(t);
  for (int64_t t = first; t < last; ++t) {
    sums[t] += Pooled<kPooling>(masses + t - kReach, 0, 2 * kReach + 1);
  }
  for (int64_t t = last; t < columns; ++t) add_at_end(t);
}

// The columns of the `count` largest ranks, ascending; of equal ones the first. Finds the least
// rank that is taken some bits at a time.
void TakeLargest(const uint32_t* ranks, int64_t columns, int64_t count, int32_t* out) {
  uint32_t least = 0;
  uint32_t known = 0;    // the bits of it that are found
  int64_t left = count;  // to take of those that have them
  for (const int shift : {22, 11, 0}) {
    int32_t counts[2048] = {};
    for (int64_t t = 0; t < columns; ++t) {
      if ((ranks[t] & known) == least) ++counts[ranks[t] >> shift & 2047];
    }
    uint32_t digit = 2047;
    for (; counts[digit] < left; --digit) left -= counts[digit];
    least |= digit << shift;
    known |= uint32_t{2047} << shift;
  }
  for (int64_t t = 0; t < columns; ++t) {
    if (ranks[t] > least || (ranks[t] == least && left-- > 0)) *out++ = static_cast<int32_t>(t);
  }
}

}  // namespace

// Sums and ranks stand in the memory of the states of an Attend.
void CpuBackend::DoChooseRows(ConstRows masses, int kv_heads, RowPooling pooling, int64_t count,
                              int32_t* chosen) noexcept {
  const int64_t columns = masses.columns;
  const int64_t gqa = masses.rows / kv_heads;
  const Scratch scratch(attention_scratch_, limits_);
  QS_CHECK(2 * kv_heads * columns <= scratch.shares.calls);
  const auto add = pooling == RowPooling::kNone    ? AddPooled<RowPooling::kNone>
                   : pooling == RowPooling::kMean5 ? AddPooled<RowPooling::kMean5>
                                                   : AddPooled<RowPooling::kMax7>;
  const auto choose = [&](int64_t head) {
    float* sums = scratch.states + 2 * head * columns;
    auto* ranks = reinterpret_cast<uint32_t*>(sums + columns);
    std::fill_n(sums, columns, 0.0f);
    for (int64_t i = 0; i < gqa; ++i) add(masses.Row(head * gqa + i), columns, sums);
    for (int64_t t = 0; t < columns; ++t) ranks[t] = RankOf(sums[t]);
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
