// The block formats found in GGUF files, decoded exactly as the `gguf` Python package does.
// Scalar; no file access. Sources: docs/references.md [gguf].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "quant/hq8.h"

namespace quantspec {

// Numbers as in the files.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kMXFP4 = 39,
};

struct GgmlTypeInfo {
  std::string_view name;  // "Q4_1"
  int64_t block_values;   // values a block
  int64_t block_bytes;
  bool is_affine4;  // 4-bit affine in groups of 32: Q4_0, Q4_1, Q4_K
};

// Null for types this build does not know.
const GgmlTypeInfo* FindGgmlType(uint32_t type);

// The sizes alone, as Gguf::Parse asks for them; false for unknown types.
bool GgmlTypeSize(uint32_t type, int64_t* block_values, int64_t* block_bytes);

// False if a value or scale is NaN or infinite, or the scale lets values become so; `count` values,
// a multiple of block_values. For refusing a damaged file: costs less than decoding.
bool AllFinite(GgmlType type, const std::byte* blocks, int64_t count);

// Decodes `count` values (a multiple of block_values) from `blocks` to `out`.
void DecodeGgml(GgmlType type, const std::byte* blocks, int64_t count, float* out);

// Imports `count` values of an affine 4-bit type as they are: codes 0..15 in input order and one
// GroupScale a 32 values (exact for Q4_0 and Q4_1; Q4_K's products are rounded to f16).
void ImportAffine4(GgmlType type, const std::byte* blocks, int64_t count, uint8_t* upper,
                   GroupScale* scales);

// Imports `count` values of Q8_0 as HQ8 in groups of 32: the very codes and scales, on a zero that
// is rounded to f16, which moves a group by 1/16 of its step at most.
void ImportQ8_0(const std::byte* blocks, int64_t count, uint8_t* upper, uint8_t* lower,
                GroupScale* scales);

}  // namespace quantspec
