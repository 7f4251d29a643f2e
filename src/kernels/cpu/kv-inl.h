// Storing rows, sealing groups and decoding them, over the words of one instruction set. Codes and
// values are those of quant/hq8.h, bit for bit: the same operations in the same order, or exact
// ones.

namespace quantspec::cpu::QS_ISA {

// ---------------------------------------------------------------------------------- dense

QS_INLINE F LoadElements(const uint16_t* p) { return Words::LoadF16(p); }
QS_INLINE F LoadElements(const float* p) { return Words::Load(p); }
QS_INLINE void StoreElements(uint16_t* p, F x) {
  Words::StoreF16(p, Words::Max(Words::Min(x, Words::Set(65504.0f)), Words::Set(-65504.0f)));
}
QS_INLINE void StoreElements(float* p, F x) { Words::Store(p, x); }

template <typename T>
inline void StoreRows(const StoreArgs& args) {
  const int head_dim = args.head_dim;
  const int64_t block = args.first_row / kTokenBlock * kTokenBlock;
  const int lane = static_cast<int>(args.first_row - block);
  T* QS_RESTRICT keys = reinterpret_cast<T*>(args.keys) + block * head_dim + lane;
  T* values = reinterpret_cast<T*>(args.values) + args.first_row * head_dim;
  T row_keys[256];
  for (int row = 0; row < args.rows; ++row) {
    const float* k = args.k + row * args.k_stride;
    const float* v = args.v + row * args.v_stride;
    for (int c = 0; c < head_dim; c += Words::kLanes) {
      StoreElements(row_keys + c, Words::Load(k + c));
      StoreElements(values + row * head_dim + c, Words::Load(v + c));
    }
    for (int c = 0; c < head_dim; ++c) keys[c * kTokenBlock + row] = row_keys[c];
  }
}

inline void Store(const StoreArgs& args) {
  if (args.type == KvType::kF32) {
    StoreRows<float>(args);
  } else {
    StoreRows<uint16_t>(args);
  }
}

// ----------------------------------------------------------------------------------- seal

// The scale and zero of a group as stored, and the values that encoding works with.
struct Encoder {
  F zero, scale, inverse, inverse16;
};

QS_INLINE Encoder MakeEncoder(float least, float most, F16* stored_scale, F16* stored_zero) {
  *stored_zero = F16FromFloatSaturated(least + 0.0f);  // no negative zero
  *stored_scale = F16FromFloatSaturated((most - least) / static_cast<float>(kUpperLevels));
  const float scale = FloatFromF16(*stored_scale);
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  return {Words::Set(FloatFromF16(*stored_zero)), Words::Set(scale), Words::Set(inverse),
          Words::Set(16.0f * inverse)};
}

struct CodePair {
  I upper, lower;
};

// u * scale is exact (4 by 11 bits), so a fused multiply-add changes nothing.
QS_INLINE CodePair Encode(const Encoder& group, F x) {
  const F offset = Words::Sub(x, group.zero);
  const F u = Words::Round(
      Words::Min(Words::Max(Words::Mul(offset, group.inverse), Words::Zero()), Words::Set(15.0f)));
  const F error = Words::Mul(Words::Sub(offset, Words::Mul(u, group.scale)), group.inverse16);
  const F l = Words::Min(Words::Max(error, Words::Set(-8.0f)), Words::Set(7.0f));
  return {Words::ToInt(u), Words::AddInt(Words::ToInt(l), Words::SetInt(kLowerBias))};
}

inline constexpr int kBlockVectors = 16 / Words::kLanes;  // of a block of 16 tokens or channels

// Four channels of 128 tokens, which share the vectors of codes.
template <typename T>
inline void SealKeyQuad(const SealArgs& args, int quad) {
  const int head_dim = args.head_dim;
  constexpr int kVectors = kKvGroup / Words::kLanes;
  I upper[kVectors], lower[kVectors];
  for (int i = 0; i < kVectors; ++i) upper[i] = lower[i] = Words::ZeroInt();
  for (int j = 0; j < 4; ++j) {
    const int channel = 4 * quad + j;
    const T* keys = reinterpret_cast<const T*>(args.keys) + channel * kTokenBlock;
    F x[kVectors];
    for (int i = 0; i < kVectors; ++i) {
      const int token = i * Words::kLanes;
      x[i] = LoadElements(keys + token / 16 * 16 * head_dim + token % 16);
    }
    F least = x[0], most = x[0];
    for (int i = 1; i < kVectors; ++i) {
      least = Words::Min(least, x[i]);
      most = Words::Max(most, x[i]);
    }
    const Encoder group =
        MakeEncoder(-Words::MaxOf(Words::Sub(Words::Zero(), least)), Words::MaxOf(most),
                    args.out.key_scales + channel, args.out.key_zeros + channel);
    for (int i = 0; i < kVectors; ++i) {
      const CodePair codes = Encode(group, x[i]);
      upper[i] = Words::AddInt(upper[i], Words::ShiftLeft(codes.upper, 8 * j));
      lower[i] = Words::AddInt(lower[i], Words::ShiftLeft(codes.lower, 8 * j));
    }
  }
  for (int block = 0; block < kKvGroup / 32; ++block) {
    const int64_t out = (int64_t{block} * (head_dim / 4) + quad) * 64;
    for (int h = 0; h < kBlockVectors; ++h) {
      const int low = 2 * block * kBlockVectors + h;
      const int high = low + kBlockVectors;
      const int64_t at = out + h * 4 * Words::kLanes;
      Words::StoreInt(args.out.upper + at,
                      Words::AddInt(upper[low], Words::ShiftLeft(upper[high], 4)));
      Words::StoreInt(args.out.lower + at,
                      Words::AddInt(lower[low], Words::ShiftLeft(lower[high], 4)));
    }
  }
}

// Eight tokens of one value group, which share the vectors of codes.
template <typename T>
inline void SealValueOctet(const SealArgs& args, int octet, int part) {
  const int head_dim = args.head_dim;
  const int channels = ValueGroup(head_dim);
  const int vectors = channels / Words::kLanes;
  constexpr int kVectors = kKvGroup / Words::kLanes;  // at most
  I upper[kVectors], lower[kVectors];
  for (int i = 0; i < vectors; ++i) upper[i] = lower[i] = Words::ZeroInt();
  for (int j = 0; j < 8; ++j) {
    const int token = 8 * octet + j;
    const T* values = reinterpret_cast<const T*>(args.values) + token * head_dim + part * channels;
    F least = LoadElements(values);
    F most = least;
    for (int i = 1; i < vectors; ++i) {
      const F x = LoadElements(values + i * Words::kLanes);
      least = Words::Min(least, x);
      most = Words::Max(most, x);
    }
    const Encoder group =
        MakeEncoder(-Words::MaxOf(Words::Sub(Words::Zero(), least)), Words::MaxOf(most),
                    args.out.value_scales + part * kKvGroup + token,
                    args.out.value_zeros + part * kKvGroup + token);
    const int shift = j % 4 * 8 + j / 4 * 4;
    for (int i = 0; i < vectors; ++i) {
      const CodePair codes = Encode(group, LoadElements(values + i * Words::kLanes));
      upper[i] = Words::AddInt(upper[i], Words::ShiftLeft(codes.upper, shift));
      lower[i] = Words::AddInt(lower[i], Words::ShiftLeft(codes.lower, shift));
    }
  }
  for (int i = 0; i < vectors; ++i) {
    const int channel = part * channels + i * Words::kLanes;
    const int64_t at = KeyCodeBytes(head_dim) +
                       (int64_t{channel / 16} * (kKvGroup / 8) + octet) * 64 + channel % 16 * 4;
    Words::StoreInt(args.out.upper + at, upper[i]);
    Words::StoreInt(args.out.lower + at, lower[i]);
  }
}

template <typename T>
inline void SealGroup(const SealArgs& args) {
  for (int quad = 0; quad < args.head_dim / 4; ++quad) SealKeyQuad<T>(args, quad);
  for (int part = 0; part < ValueGroups(args.head_dim); ++part) {
    for (int octet = 0; octet < kKvGroup / 8; ++octet) SealValueOctet<T>(args, octet, part);
  }
}

inline void Seal(const SealArgs& args) {
  if (args.type == KvType::kF32) {
    SealGroup<float>(args);
  } else {
    SealGroup<uint16_t>(args);
  }
}

// --------------------------------------------------------------------------------- unseal

// Steps and zeros as DecodeValue multiplies and adds them: of the keys' channels or the values'
// tokens and parts.
struct Decoder {
  alignas(64) float step[2 * kKvGroup];
  alignas(64) float zero[2 * kKvGroup];
};
template <bool kBoth>
inline void MakeDecoder(const F16* scales, const F16* zeros, int count, Decoder& out) {
  for (int i = 0; i < count; i += Words::kLanes) {
    const F scale = Words::LoadF16(scales + i);
    Words::Store(out.step + i, kBoth ? Words::Mul(scale, Words::Set(1.0f / 16)) : scale);
    Words::Store(out.zero + i, Words::LoadF16(zeros + i));
  }
}

// Four codes in every lane, a byte each, joined of the low or the high nibbles of both planes, or
// of the upper one.
template <bool kBoth>
QS_INLINE I LowCodes(I upper, I lower) {
  const I mask = Words::SetInt(0x0F0F0F0F);
  const I u = Words::And(upper, mask);
  return kBoth ? Words::AddInt(Words::ShiftLeft(u, 4), Words::And(lower, mask)) : u;
}
template <bool kBoth>
QS_INLINE I HighCodes(I upper, I lower) {
  const I mask = Words::SetInt(0x0F0F0F0F);
  if (!kBoth) return Words::And(Words::ShiftRight(upper, 4), mask);
  return Words::AddInt(Words::And(upper, Words::SetInt(static_cast<int>(0xF0F0F0F0u))),
                       Words::And(Words::ShiftRight(lower, 4), mask));
}

// The values of byte j of every lane, decoded by entry `at`. A code times a step is exact (8 by 11
// bits), so a fused multiply-add changes nothing.
template <bool kBoth>
QS_INLINE F DecodeByte(I codes, int j, const Decoder& decoder, int at) {
  I code = j == 0 ? codes : Words::ShiftRight(codes, 8 * j);
  if (j < 3) code = Words::And(code, Words::SetInt(255));
  if (kBoth) code = Words::AddInt(code, Words::SetInt(-kLowerBias));
  return Words::Fma(Words::ToFloat(code), Words::Broadcast(decoder.step + at),
                    Words::Broadcast(decoder.zero + at));
}

QS_INLINE I LoadCodes(const std::byte* p) {
  return Words::LoadInt(reinterpret_cast<const int32_t*>(p));
}

template <bool kBoth, typename T>
inline void UnsealKeys(const UnsealArgs& args) {
  const int head_dim = args.head_dim;
  Decoder decoder;
  MakeDecoder<kBoth>(args.from.key_scales, args.from.key_zeros, head_dim, decoder);
  int64_t from = 0;
  for (int block = 0; block < kKvGroup / 32; ++block) {
    T* low = reinterpret_cast<T*>(args.keys) + int64_t{block} * 2 * head_dim * kTokenBlock;
    T* high = low + int64_t{head_dim} * kTokenBlock;
    for (int channel = 0; channel < head_dim; channel += 4) {
#pragma GCC unroll 4
      for (int h = 0; h < kBlockVectors; ++h, from += 4 * Words::kLanes) {
        const I upper = LoadCodes(args.from.upper + from);
        const I lower = kBoth ? LoadCodes(args.from.lower + from) : Words::ZeroInt();
        const I low_codes = LowCodes<kBoth>(upper, lower);
        const I high_codes = HighCodes<kBoth>(upper, lower);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          const int to = (channel + j) * kTokenBlock + h * Words::kLanes;
          StoreElements(low + to, DecodeByte<kBoth>(low_codes, j, decoder, channel + j));
          StoreElements(high + to, DecodeByte<kBoth>(high_codes, j, decoder, channel + j));
        }
      }
    }
  }
}

template <bool kBoth, typename T>
inline void UnsealValues(const UnsealArgs& args) {
  const int head_dim = args.head_dim;
  Decoder decoder;
  MakeDecoder<kBoth>(args.from.value_scales, args.from.value_zeros,
                     kKvGroup * ValueGroups(head_dim), decoder);
  for (int octet = 0; octet < kKvGroup / 8; ++octet) {
    T* low = reinterpret_cast<T*>(args.values) + int64_t{8} * octet * head_dim;
    T* high = low + int64_t{4} * head_dim;
    for (int channel = 0; channel < head_dim; channel += Words::kLanes) {
      const int64_t from = KeyCodeBytes(head_dim) +
                           (int64_t{channel / 16} * (kKvGroup / 8) + octet) * 64 + channel % 16 * 4;
      const I upper = LoadCodes(args.from.upper + from);
      const I lower = kBoth ? LoadCodes(args.from.lower + from) : Words::ZeroInt();
      const I low_codes = LowCodes<kBoth>(upper, lower);
      const I high_codes = HighCodes<kBoth>(upper, lower);
      const int at = channel / kKvGroup * kKvGroup + 8 * octet;  // of the octet's first token
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const int to = j * head_dim + channel;
        StoreElements(low + to, DecodeByte<kBoth>(low_codes, j, decoder, at + j));
        StoreElements(high + to, DecodeByte<kBoth>(high_codes, j, decoder, at + 4 + j));
      }
    }
  }
}

template <bool kBoth, typename T>
inline void UnsealGroup(const UnsealArgs& args) {
  UnsealKeys<kBoth, T>(args);
  if (args.values != nullptr) UnsealValues<kBoth, T>(args);
}

inline void Unseal(const UnsealArgs& args) {
  if (args.planes == Planes::kBoth) {
    (args.type == KvType::kF32 ? UnsealGroup<true, float> : UnsealGroup<true, uint16_t>)(args);
  } else {
    (args.type == KvType::kF32 ? UnsealGroup<false, float> : UnsealGroup<false, uint16_t>)(args);
  }
}

inline constexpr KvKernels kKvKernels{Store, Seal, Unseal};

}  // namespace quantspec::cpu::QS_ISA
