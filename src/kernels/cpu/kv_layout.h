// Where keys, values, codes and scales stand in the CPU backend's segments. All instruction sets
// share the layouts.
//
// Dense: keys [kv_head][block of 16 tokens][head_dim][16 tokens], so that scores need no sums over
// lanes; values [kv_head][token][head_dim].
//
// Sealed, upper and lower plane alike, [kv_head][slot]: first the keys' codes, then the values',
// in vectors of 64 bytes. Byte 4 l + j of a vector of
// - keys, [block of 32 tokens][quad of channels]: channel 4 quad + j of token 32 block + l in its
//   low nibble, of token 32 block + 16 + l in its high one;
// - values, [block of 16 channels][8 tokens]: channel 16 block + l of token 8 i + j in its low
//   nibble, of token 8 i + 4 + j in its high one.
// Scales, f16, [kv_head][slot]: key scales [head_dim], key zeros [head_dim], value scales
// [head_dim / ValueGroup][128], value zeros likewise.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"

namespace quantspec::cpu {

// Tokens of a block of keys.
inline constexpr int kTokenBlock = static_cast<int>(kDenseRows);

inline int64_t ElementBytes(KvType type) { return type == KvType::kF32 ? 4 : 2; }

// Elements from a head's first key (or value) to the next head's.
inline int64_t DenseHeadStride(int head_dim, int64_t capacity) { return capacity * head_dim; }
// Bytes from a segment's keys (or values) to the live ones of a head: those of whole blocks.
inline int64_t DenseRowsAt(const DenseSegment& segment, int head_dim, int64_t head) {
  return (head * DenseHeadStride(head_dim, segment.capacity) + segment.first_row * head_dim) *
         ElementBytes(segment.type);
}
// Within one head.
inline int64_t DenseKeyIndex(int head_dim, int64_t row, int channel) {
  return row / kTokenBlock * kTokenBlock * head_dim + channel * kTokenBlock + row % kTokenBlock;
}
inline int64_t DenseValueIndex(int head_dim, int64_t row, int channel) {
  return row * head_dim + channel;
}

inline int ValueGroups(int head_dim) { return head_dim / ValueGroup(head_dim); }

// Bytes of one head's group.
inline int64_t KeyCodeBytes(int head_dim) { return int64_t{kKvGroup} * head_dim / 2; }
inline int64_t PlaneGroupBytes(int head_dim) { return 2 * KeyCodeBytes(head_dim); }
inline int64_t ScaleGroupBytes(int head_dim) {
  return 2 * int64_t{sizeof(F16)} * (head_dim + int64_t{kKvGroup} * ValueGroups(head_dim));
}

// A code's place within the keys' or the values' part of a group.
struct NibblePlace {
  int64_t byte;
  int shift;
};
inline NibblePlace KeyCodePlace(int head_dim, int token, int channel) {
  const int64_t vector = int64_t{token / 32} * (head_dim / 4) + channel / 4;
  return {vector * 64 + token % 16 * 4 + channel % 4, token % 32 / 16 * 4};
}
inline NibblePlace ValueCodePlace(int token, int channel) {
  const int64_t vector = int64_t{channel / 16} * (kKvGroup / 8) + token / 8;
  return {vector * 64 + channel % 16 * 4 + token % 4, token % 8 / 4 * 4};
}

// The parts of one head's group of a SealedSegment; `lower` may be null.
struct SealedGroup {
  std::byte* upper;
  std::byte* lower;
  F16* key_scales;
  F16* key_zeros;
  F16* value_scales;
  F16* value_zeros;
};
// The one `slots` further on in the segment.
inline SealedGroup GroupAfter(const SealedGroup& from, int head_dim, int64_t slots) {
  const int64_t plane = slots * PlaneGroupBytes(head_dim);
  const int64_t scales = slots * ScaleGroupBytes(head_dim) / static_cast<int64_t>(sizeof(F16));
  return {from.upper + plane,         from.lower == nullptr ? nullptr : from.lower + plane,
          from.key_scales + scales,   from.key_zeros + scales,
          from.value_scales + scales, from.value_zeros + scales};
}
inline SealedGroup GroupOf(const SealedSegment& segment, int head_dim, int head, int64_t slot) {
  F16* scales = reinterpret_cast<F16*>(segment.scales);
  F16* value_scales = scales + 2 * head_dim;
  const SealedGroup first{segment.upper, segment.lower,
                          scales,        scales + head_dim,
                          value_scales,  value_scales + kKvGroup * ValueGroups(head_dim)};
  return GroupAfter(first, head_dim, head * segment.capacity + slot);
}

}  // namespace quantspec::cpu
