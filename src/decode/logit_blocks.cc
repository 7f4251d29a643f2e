#include "decode/logit_blocks.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.h"

namespace quantspec {
namespace {

constexpr int kLanes = 16;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// exp(x) for x <= 0 as 2^n * 2^f, f in [-0.5, 0.5], the second factor by its Taylor series; 0 below
// -87 and for NaN. A mask instead of branches, so that compilers vectorise it.
inline float ExpOfNegative(float x) {
  constexpr float kLog2e = 1.44269504f;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float scaled = x * kLog2e;
  const float rounded = scaled + kRounder;
  const float f = scaled - (rounded - kRounder);
  float series = 1.5403530e-4f;
  series = series * f + 1.3333558e-3f;
  series = series * f + 9.6181291e-3f;
  series = series * f + 5.5504109e-2f;
  series = series * f + 2.4022651e-1f;
  series = series * f + 6.9314718e-1f;
  series = series * f + 1.0f;
  const uint32_t exponent = std::bit_cast<uint32_t>(rounded) - std::bit_cast<uint32_t>(kRounder);
  const float value = series * std::bit_cast<float>((exponent + 127u) << 23);
  const uint32_t keep = 0u - static_cast<uint32_t>(x > -87.0f);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & keep);
}

// lanes[i] = the larger of lanes[i] and others[i], or lanes[i] if either is NaN.
template <int kCount>
inline void TakeLarger(const float* others, float* lanes) {
  for (int i = 0; i < kCount; ++i) {
    const float x = others[i];
    const float y = lanes[i];
    lanes[i] = x > y ? x : y;
  }
}

float MaxOfFullBlock(const float* block) {
  static_assert(kLogitBlock == 128);
  float lanes[64];
  for (float& lane : lanes) lane = kMinusInfinity;
  TakeLarger<64>(block, lanes);
  TakeLarger<64>(block + 64, lanes);
  TakeLarger<32>(lanes + 32, lanes);
  TakeLarger<16>(lanes + 16, lanes);
  return *std::max_element(lanes, lanes + 16);
}

// Sum of max(0, a - b) over one block; b may be null for zeros.
double BlockMass(const float* a, const float* b, int count) {
  float differences[kLogitBlock];
  for (int i = 0; i < count; ++i) differences[i] = a[i];
  if (b != nullptr) {
    for (int i = 0; i < count; ++i) differences[i] -= b[i];
  }
  for (int i = count; i < kLogitBlock; ++i) differences[i] = 0.0f;
  float lanes[kLanes] = {};
  for (int i = 0; i < kLogitBlock; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float d = differences[i + j];
      lanes[j] += d > 0.0f ? d : 0.0f;
    }
  }
  double sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

int BlockSize(size_t vocab, size_t block) {
  return static_cast<int>(std::min<size_t>(kLogitBlock, vocab - block * kLogitBlock));
}

}  // namespace

float BlockMaxima(std::span<const float> logits, std::span<float> maxima) {
  const size_t full = logits.size() / kLogitBlock;
  float largest = kMinusInfinity;
  for (size_t b = 0; b < full; ++b) {
    maxima[b] = MaxOfFullBlock(logits.data() + b * kLogitBlock);
    largest = maxima[b] > largest ? maxima[b] : largest;
  }
  if (full * kLogitBlock < logits.size()) {
    float rest = kMinusInfinity;
    for (const float x : logits.subspan(full * kLogitBlock)) rest = x > rest ? x : rest;
    maxima[full] = rest;
    largest = rest > largest ? rest : largest;
  }
  return largest;
}

float BlockMaximaOfPacks(std::span<const float> logits, const PackMaxima& packs,
                         std::span<float> maxima) {
  const size_t pack = static_cast<size_t>(packs.pack);
  QS_DCHECK(pack > 0 && kLogitBlock % pack == 0);
  const size_t of_block = kLogitBlock / pack;
  const size_t whole = logits.size() / pack;  // packs without logits beyond ours
  float largest = kMinusInfinity;
  for (size_t b = 0; b < maxima.size(); ++b) {
    maxima[b] = kMinusInfinity;
    for (size_t i = b * of_block; i < std::min((b + 1) * of_block, whole); ++i) {
      maxima[b] = std::max(maxima[b], packs.values[i]);
    }
    largest = std::max(largest, maxima[b]);
  }
  for (const float x : logits.subspan(whole * pack)) {
    maxima.back() = x > maxima.back() ? x : maxima.back();
  }
  return std::max(largest, maxima.back());
}

int FirstEqual(std::span<const float> logits, std::span<const float> maxima, float largest) {
  const size_t blocks = static_cast<size_t>(LogitBlocks(static_cast<int>(logits.size())));
  for (size_t b = 0; b < blocks; ++b) {
    if (maxima[b] != largest) continue;
    const float* block = logits.data() + b * kLogitBlock;
    const int count = BlockSize(logits.size(), b);
    const int i = static_cast<int>(std::find(block, block + count, largest) - block);
    if (i < count) return static_cast<int>(b) * kLogitBlock + i;
  }
  return 0;
}

double Exponentials(std::span<const float> logits, float largest, float scale,
                    std::span<float> out) {
  QS_DCHECK(out.empty() || out.size() == logits.size());
  double sum = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kLogitBlock) {
    const int count = BlockSize(logits.size(), begin / kLogitBlock);
    const float* block = logits.data() + begin;
    float local[kLogitBlock];
    for (int i = 0; i < count; ++i) local[i] = ExpOfNegative((block[i] - largest) * scale);
    if (!out.empty()) std::copy(local, local + count, out.data() + begin);
    sum += BlockMass(local, nullptr, count);
  }
  return sum;
}

int PickByMass(std::span<const float> a, std::span<const float> b, double share) {
  QS_DCHECK(b.empty() || b.size() == a.size());
  const auto mass_of = [&](size_t block) {
    const size_t begin = block * kLogitBlock;
    return BlockMass(a.data() + begin, b.empty() ? nullptr : b.data() + begin,
                     BlockSize(a.size(), block));
  };
  const size_t blocks = static_cast<size_t>(LogitBlocks(static_cast<int>(a.size())));
  double whole = 0;
  for (size_t block = 0; block < blocks; ++block) whole += mass_of(block);
  if (!(whole > 0)) return -1;

  const double wanted = share * whole;
  double before = 0;
  int last = -1;  // rounding may leave `wanted` just out of reach: then the last one with any mass
  for (size_t block = 0; block < blocks; ++block) {
    const double mass = mass_of(block);
    if (!(mass > 0)) continue;
    const bool here = before + mass > wanted;
    double sum = before;
    for (int i = 0; i < BlockSize(a.size(), block); ++i) {
      const size_t index = block * kLogitBlock + static_cast<size_t>(i);
      const float difference = b.empty() ? a[index] : a[index] - b[index];
      if (!(difference > 0.0f)) continue;
      sum += difference;
      last = static_cast<int>(index);
      if (here && sum > wanted) return last;
    }
    before += mass;
  }
  return last;
}

}  // namespace quantspec
