// The cache of the CPU backend: sizes, storing, copying, sealing, decoding, reading back. Attention
// is in attention_backend.cc.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/dense_copy.h"
#include "kernels/cpu/kv_layout.h"

namespace quantspec::cpu {
namespace {

// Values below which handing work to the pool costs more than doing it here.
constexpr int64_t kInlineValues = 16 * 1024;
constexpr int64_t kInlineGroupColumns = 128;  // of a whole group

uint8_t CodeAt(const std::byte* plane, NibblePlace place) {
  return static_cast<uint8_t>(static_cast<unsigned>(plane[place.byte]) >> place.shift & 15u);
}

}  // namespace

size_t CpuBackend::DenseBytes(KvGeometry geometry, KvType type, int64_t capacity) const {
  return static_cast<size_t>(geometry.kv_heads * DenseHeadStride(geometry.head_dim, capacity) *
                             ElementBytes(type));
}

SealedBytes CpuBackend::SizeOf(KvGeometry geometry, int64_t capacity) const {
  const int64_t groups = geometry.kv_heads * capacity;
  const auto plane = static_cast<size_t>(groups * PlaneGroupBytes(geometry.head_dim));
  return {plane, plane, static_cast<size_t>(groups * ScaleGroupBytes(geometry.head_dim))};
}

void CpuBackend::DoStoreKv(ConstRows k, ConstRows v, KvGeometry geometry,
                           const DenseSegment& segment, int64_t first_row) noexcept {
  const int head_dim = geometry.head_dim;
  const int64_t first_block = first_row / kDenseRows;
  const int64_t blocks = CeilDiv(first_row + k.rows, kDenseRows) - first_block;
  const auto store = [&](int64_t unit) {
    const int64_t block = first_block + unit / geometry.kv_heads;
    const int head = static_cast<int>(unit % geometry.kv_heads);
    const int64_t begin = std::max(block * kDenseRows, first_row);
    const int64_t end = std::min((block + 1) * kDenseRows, first_row + k.rows);
    StoreArgs args;
    args.k = k.Row(begin - first_row) + head * head_dim;
    args.v = v.Row(begin - first_row) + head * head_dim;
    args.k_stride = k.stride;
    args.v_stride = v.stride;
    args.first_row = begin;
    args.rows = static_cast<int>(end - begin);
    args.head_dim = head_dim;
    args.type = segment.type;
    args.keys = HeadOf(segment.keys, segment.type, head_dim, segment.capacity, head);
    args.values = HeadOf(segment.values, segment.type, head_dim, segment.capacity, head);
    table_.kv.store(args);
  };
  const int64_t units = blocks * geometry.kv_heads;
  ForUnits(units, k.rows * k.columns <= kInlineValues, store);
}

void CpuBackend::DoCopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                          int64_t rows, const DenseSegment& to, int64_t to_row) noexcept {
  const int head_dim = geometry.head_dim;
  const auto copy = [&](int64_t unit) {
    const int head = static_cast<int>(unit);
    const HeadCopy one{from.type,
                       to.type,
                       HeadOf(from.keys, from.type, head_dim, from.capacity, head),
                       HeadOf(from.values, from.type, head_dim, from.capacity, head),
                       HeadOf(to.keys, to.type, head_dim, to.capacity, head),
                       HeadOf(to.values, to.type, head_dim, to.capacity, head),
                       head_dim};
    CopyRows(one, from_row, rows, to_row);
  };
  ForUnits(geometry.kv_heads, rows * head_dim * geometry.kv_heads <= kInlineValues, copy);
}

void CpuBackend::DoSealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                          const SealedSegment& to, int64_t slot) noexcept {
  const int head_dim = geometry.head_dim;
  const int64_t first = from_row * head_dim * ElementBytes(from.type);
  const auto seal = [&](int64_t unit) {
    const int head = static_cast<int>(unit);
    table_.kv.seal({HeadOf(from.keys, from.type, head_dim, from.capacity, head) + first,
                    HeadOf(from.values, from.type, head_dim, from.capacity, head) + first,
                    from.type, head_dim, GroupOf(to, head_dim, head, slot)});
  };
  ForUnits(geometry.kv_heads, geometry.kv_heads * head_dim <= kInlineGroupColumns, seal);
}

void CpuBackend::DoUnsealKv(KvGeometry geometry, const SealedSegment& from, int64_t slot,
                            const DenseSegment& to, int64_t to_row) noexcept {
  const int head_dim = geometry.head_dim;
  const int64_t first = to_row * head_dim * ElementBytes(to.type);
  const auto unseal = [&](int64_t unit) {
    const int head = static_cast<int>(unit);
    table_.kv.unseal({GroupOf(from, head_dim, head, slot), Planes::kBoth, to.type, head_dim,
                      HeadOf(to.keys, to.type, head_dim, to.capacity, head) + first,
                      HeadOf(to.values, to.type, head_dim, to.capacity, head) + first});
  };
  ForUnits(geometry.kv_heads, geometry.kv_heads * head_dim <= kInlineGroupColumns, unseal);
}

void CpuBackend::DoLoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                          float* v) const noexcept {
  const int head_dim = geometry.head_dim;
  for (int head = 0; head < geometry.kv_heads; ++head) {
    const std::byte* keys = HeadOf(segment.keys, segment.type, head_dim, segment.capacity, head);
    const std::byte* values =
        HeadOf(segment.values, segment.type, head_dim, segment.capacity, head);
    for (int c = 0; c < head_dim; ++c) {
      *k++ = LoadElement(segment.type, keys, DenseKeyIndex(head_dim, row, c));
      *v++ = LoadElement(segment.type, values, DenseValueIndex(head_dim, row, c));
    }
  }
}

void CpuBackend::DoLoadGroup(KvGeometry geometry, const SealedSegment& segment, int head,
                             int64_t slot, const GroupCodes& out) const noexcept {
  const int head_dim = geometry.head_dim;
  const SealedGroup from = GroupOf(segment, head_dim, head, slot);
  const int64_t values_at = KeyCodeBytes(head_dim);
  for (int token = 0; token < kKvGroup; ++token) {
    for (int c = 0; c < head_dim; ++c) {
      const int64_t index = int64_t{token} * head_dim + c;
      const NibblePlace key = KeyCodePlace(head_dim, token, c);
      const NibblePlace value = ValueCodePlace(token, c);
      out.k_upper[index] = CodeAt(from.upper, key);
      out.k_lower[index] = CodeAt(from.lower, key);
      out.v_upper[index] = CodeAt(from.upper + values_at, value);
      out.v_lower[index] = CodeAt(from.lower + values_at, value);
    }
  }
  const int parts = ValueGroups(head_dim);
  for (int c = 0; c < head_dim; ++c) out.k_scales[c] = {from.key_scales[c], from.key_zeros[c]};
  for (int i = 0; i < kKvGroup * parts; ++i) {
    const int at = i % parts * kKvGroup + i / parts;
    out.v_scales[i] = {from.value_scales[at], from.value_zeros[at]};
  }
}

}  // namespace quantspec::cpu
