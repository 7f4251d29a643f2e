#include "kernels/cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/matmul_kernels.h"

namespace quantspec::cpu {
namespace {

// 32 inputs of one output: eight codes become four bytes, low nibbles first.
void PackCodes(const uint8_t* codes, int64_t lane, std::byte* out) {
  for (int v = 0; v < 4; ++v) {
    uint32_t low, high;
    std::memcpy(&low, codes + 8 * v, 4);
    std::memcpy(&high, codes + 8 * v + 4, 4);
    const uint32_t packed = (low & 0x0F0F0F0Fu) | (high & 0x0F0F0F0Fu) << 4;
    std::memcpy(out + 64 * v + 4 * lane, &packed, 4);
  }
}

void PutF16(std::byte* out, int64_t index, F16 value) { std::memcpy(out + 2 * index, &value, 2); }

}  // namespace

WeightBytes PackedBytes(const WeightSpec& spec) {
  const int64_t blocks = CeilDiv(spec.outputs, kBlock);
  WeightBytes bytes;
  if (spec.format == WeightFormat::kF32 || spec.format == WeightFormat::kBf16) {
    bytes.upper = static_cast<size_t>(blocks * DenseBlockBytes(spec.format, spec.inputs));
    return bytes;
  }
  bytes.upper = static_cast<size_t>(blocks * UpperBlockBytes(spec.inputs, spec.group));
  if (spec.format == WeightFormat::kHq8) {
    bytes.lower = static_cast<size_t>(blocks * LowerBlockBytes(spec.inputs));
  }
  return bytes;
}

void PackQuantizedRows(const HqRows& rows, int64_t first_output, const PackedWeight& weight) {
  const WeightSpec& spec = weight.spec;
  const int64_t upper_bytes = UpperBlockBytes(spec.inputs, spec.group);
  const int64_t lower_bytes = LowerBlockBytes(spec.inputs);
  const int64_t groups = spec.inputs / spec.group;
  const int64_t group_bytes = spec.group / kQuantGroup * kCodeBytes + kScaleBytes;
  const bool both = spec.format == WeightFormat::kHq8;
  for (int64_t row = 0; row < rows.rows; ++row) {
    const int64_t block = (first_output + row) / kBlock;
    const int64_t lane = (first_output + row) % kBlock;
    std::byte* upper = weight.upper + block * upper_bytes;
    std::byte* lower = both ? weight.lower + block * lower_bytes : nullptr;
    const uint8_t* upper_codes = rows.upper.data() + row * spec.inputs;
    const uint8_t* lower_codes = both ? rows.lower.data() + row * spec.inputs : nullptr;
    for (int64_t g = 0; g < groups; ++g) {
      std::byte* out = upper + g * group_bytes;
      for (int64_t i = g * spec.group; i < (g + 1) * spec.group; i += kQuantGroup) {
        PackCodes(upper_codes + i, lane, out);
        out += kCodeBytes;
        if (both) PackCodes(lower_codes + i, lane, lower + i / kQuantGroup * kCodeBytes);
      }
      const GroupScale scale = rows.scales[static_cast<size_t>(row * groups + g)];
      PutF16(out, lane, scale.scale);
      PutF16(out, kBlock + lane, scale.zero);
    }
  }
}

void PackDenseRows(ConstRows rows, int64_t first_output, const PackedWeight& weight) {
  const WeightSpec& spec = weight.spec;
  const bool is_bf16 = spec.format == WeightFormat::kBf16;
  for (int64_t first = 0; first < rows.rows; first += kBlock) {
    const int64_t lanes = std::min(kBlock, rows.rows - first);
    const int64_t block = (first_output + first) / kBlock;
    std::byte* out = weight.upper + block * DenseBlockBytes(spec.format, spec.inputs);
    const float* values = rows.Row(first);
    // In the order of the output: 16 streams are read, one is written.
    for (int64_t i = 0; i < spec.inputs; ++i) {
      if (is_bf16) {
        Bf16* target = reinterpret_cast<Bf16*>(out) + i / 2 * 2 * kBlock + i % 2;
        for (int64_t o = 0; o < lanes; ++o) {
          target[2 * o] = Bf16FromFloat(values[o * rows.stride + i]);
        }
      } else {
        float* target = reinterpret_cast<float*>(out) + i * kBlock;
        for (int64_t o = 0; o < lanes; ++o) target[o] = values[o * rows.stride + i];
      }
    }
  }
}

}  // namespace quantspec::cpu
