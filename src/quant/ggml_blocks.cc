#include "quant/ggml_blocks.h"

#include "quant/ggml_decode.h"

namespace quantspec {
namespace {

using ggml::Byte;
using ggml::Load;
using ggml::LoadF16;

void DecodeF32(const std::byte* block, float* out) { *out = Load<float>(block); }
void DecodeF16(const std::byte* block, float* out) { *out = LoadF16(block); }
void DecodeBF16(const std::byte* block, float* out) { *out = FloatFromBf16(Load<Bf16>(block)); }

// 32 codes of 4 bits: low nibbles are the first 16 values, high nibbles the others.
template <typename Store>
void ForNibbles(const std::byte* codes, Store&& store) {
  for (int i = 0; i < 16; ++i) store(i, Byte(codes[i]) & 15);
  for (int i = 0; i < 16; ++i) store(i + 16, Byte(codes[i]) >> 4);
}

void DecodeQ4_0(const std::byte* block, float* out) {
  const float d = LoadF16(block);
  ForNibbles(block + 2, [&](int i, int code) { out[i] = static_cast<float>(code - 8) * d; });
}

void DecodeQ4_1(const std::byte* block, float* out) {
  const float d = LoadF16(block), m = LoadF16(block + 2);
  ForNibbles(block + 4, [&](int i, int code) { out[i] = static_cast<float>(code) * d + m; });
}

void DecodeQ5_0(const std::byte* block, float* out) {
  const float d = LoadF16(block);
  const uint32_t high = Load<uint32_t>(block + 2);
  ForNibbles(block + 6, [&](int i, int code) {
    out[i] = static_cast<float>((code | static_cast<int>(high >> i & 1) << 4) - 16) * d;
  });
}

void DecodeQ5_1(const std::byte* block, float* out) {
  const float d = LoadF16(block), m = LoadF16(block + 2);
  const uint32_t high = Load<uint32_t>(block + 4);
  ForNibbles(block + 8, [&](int i, int code) {
    out[i] = static_cast<float>(code | static_cast<int>(high >> i & 1) << 4) * d + m;
  });
}

void DecodeQ8_0(const std::byte* block, float* out) {
  const float d = LoadF16(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(Load<int8_t>(block + 2 + i));
}

// Everything this build knows of a format. `f16_fields`: offsets of its f16 scales, -1 = none.
struct Format {
  GgmlType type;
  GgmlTypeInfo info;
  void (*decode)(const std::byte* block, float* out);
  int f16_fields[2];
};

constexpr Format kFormats[] = {
    {GgmlType::kF32, {"F32", 1, 4, false}, DecodeF32, {-1, -1}},
    {GgmlType::kF16, {"F16", 1, 2, false}, DecodeF16, {0, -1}},
    {GgmlType::kBF16, {"BF16", 1, 2, false}, DecodeBF16, {-1, -1}},
    {GgmlType::kQ4_0, {"Q4_0", 32, 18, true}, DecodeQ4_0, {0, -1}},
    {GgmlType::kQ4_1, {"Q4_1", 32, 20, true}, DecodeQ4_1, {0, 2}},
    {GgmlType::kQ5_0, {"Q5_0", 32, 22, false}, DecodeQ5_0, {0, -1}},
    {GgmlType::kQ5_1, {"Q5_1", 32, 24, false}, DecodeQ5_1, {0, 2}},
    {GgmlType::kQ8_0, {"Q8_0", 32, 34, false}, DecodeQ8_0, {0, -1}},
    {GgmlType::kQ2_K, {"Q2_K", 256, 84, false}, ggml::DecodeQ2K, {80, 82}},
    {GgmlType::kQ3_K, {"Q3_K", 256, 110, false}, ggml::DecodeQ3K, {108, -1}},
    {GgmlType::kQ4_K, {"Q4_K", 256, 144, true}, ggml::DecodeQ4K, {0, 2}},
    {GgmlType::kQ5_K, {"Q5_K", 256, 176, false}, ggml::DecodeQ5K, {0, 2}},
    {GgmlType::kQ6_K, {"Q6_K", 256, 210, false}, ggml::DecodeQ6K, {208, -1}},
    {GgmlType::kIQ4_NL, {"IQ4_NL", 32, 18, false}, ggml::DecodeIQ4NL, {0, -1}},
    {GgmlType::kIQ4_XS, {"IQ4_XS", 256, 136, false}, ggml::DecodeIQ4XS, {0, -1}},
    {GgmlType::kMXFP4, {"MXFP4", 32, 17, false}, ggml::DecodeMXFP4, {-1, -1}},
};

const Format* FindFormat(uint32_t type) {
  for (const Format& format : kFormats) {
    if (static_cast<uint32_t>(format.type) == type) return &format;
  }
  return nullptr;
}

const Format& FormatOf(GgmlType type) {
  const Format* format = FindFormat(static_cast<uint32_t>(type));
  QS_CHECK(format != nullptr);
  return *format;
}

bool IsFiniteF16(const std::byte* at) { return (Load<F16>(at) & 0x7C00u) != 0x7C00u; }

// The scale and zero of one group of 32, rounded to f16.
GroupScale MakeScale(float scale, float zero) {
  return {F16FromFloatSaturated(scale), F16FromFloatSaturated(zero)};
}

void ImportQ4K(const std::byte* block, uint8_t* upper, GroupScale* scales) {
  const float d = LoadF16(block), dmin = LoadF16(block + 2);
  for (int index = 0; index < 8; ++index) {
    const ggml::ScaleMin packed = ggml::KScaleMin(block + 4, index);
    scales[index] =
        MakeScale(d * static_cast<float>(packed.scale), -(dmin * static_cast<float>(packed.min)));
    const std::byte* codes = block + 16 + index / 2 * 32;
    const int shift = index % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      upper[32 * index + i] = static_cast<uint8_t>(Byte(codes[i]) >> shift & 15);
    }
  }
}

}  // namespace

const GgmlTypeInfo* FindGgmlType(uint32_t type) {
  const Format* format = FindFormat(type);
  return format == nullptr ? nullptr : &format->info;
}

bool GgmlTypeSize(uint32_t type, int64_t* block_values, int64_t* block_bytes) {
  const GgmlTypeInfo* info = FindGgmlType(type);
  if (info == nullptr) return false;
  *block_values = info->block_values;
  *block_bytes = info->block_bytes;
  return true;
}

void DecodeGgml(GgmlType type, const std::byte* blocks, int64_t count, float* out) {
  if (type == GgmlType::kF32) {
    std::memcpy(out, blocks, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  const Format& format = FormatOf(type);
  for (int64_t i = 0; i < count; i += format.info.block_values) {
    format.decode(blocks, out + i);
    blocks += format.info.block_bytes;
  }
}

void ImportAffine4(GgmlType type, const std::byte* blocks, int64_t count, uint8_t* upper,
                   GroupScale* scales) {
  const GgmlTypeInfo& info = FormatOf(type).info;
  QS_CHECK(info.is_affine4);
  for (int64_t i = 0; i < count; i += info.block_values, blocks += info.block_bytes) {
    uint8_t* codes = upper + i;
    GroupScale* scale = scales + i / 32;
    const auto store = [codes](int at, int code) { codes[at] = static_cast<uint8_t>(code); };
    switch (type) {
      case GgmlType::kQ4_0:
        *scale = MakeScale(LoadF16(blocks), -8.0f * LoadF16(blocks));
        ForNibbles(blocks + 2, store);
        break;
      case GgmlType::kQ4_1:
        *scale = {Load<F16>(blocks), Load<F16>(blocks + 2)};
        ForNibbles(blocks + 4, store);
        break;
      default:
        ImportQ4K(blocks, codes, scale);
    }
  }
}

void ImportQ8_0(const std::byte* blocks, int64_t count, uint8_t* upper, uint8_t* lower,
                GroupScale* scales) {
  constexpr int kValues = 32, kBytes = 34;
  for (int64_t i = 0; i < count; i += kValues, blocks += kBytes) {
    // d q = Z + (c - 8) S / 16 with c = q + 128.
    const float d = LoadF16(blocks);
    scales[i / kValues] = MakeScale(16.0f * d, -120.0f * d);
    for (int j = 0; j < kValues; ++j) {
      const int code = Byte(blocks[2 + j]) ^ 0x80;
      upper[i + j] = static_cast<uint8_t>(code >> 4);
      lower[i + j] = static_cast<uint8_t>(code & 15);
    }
  }
}

bool AllFinite(GgmlType type, const std::byte* blocks, int64_t count) {
  if (type == GgmlType::kF32 || type == GgmlType::kBF16) {
    const int64_t size = type == GgmlType::kF32 ? 4 : 2;
    bool finite = true;
    for (int64_t i = 0; i < count; ++i) {
      const F16 top = Load<F16>(blocks + (i + 1) * size - 2);
      finite &= (top & 0x7F80u) != 0x7F80u;
    }
    return finite;
  }
  const Format& format = FormatOf(type);
  for (int64_t i = 0; i < count; i += format.info.block_values) {
    for (const int field : format.f16_fields) {
      if (field >= 0 && !IsFiniteF16(blocks + field)) return false;
    }
    // Exponents of MXFP4 whose largest value overflows; the last one is NaN.
    if (type == GgmlType::kMXFP4 && Byte(blocks[0]) >= 253) return false;
    blocks += format.info.block_bytes;
  }
  return true;
}

}  // namespace quantspec
