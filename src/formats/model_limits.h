// What a model's file may say, whatever its kind.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace quantspec {

// Upper bounds that no dense model of today comes near; beyond them a file is damaged.
inline constexpr int64_t kMostLayers = 1024;
inline constexpr int64_t kMostHeads = 4096;
inline constexpr int64_t kMostWidth = int64_t{1} << 20;
inline constexpr int64_t kMostVocab = int64_t{1} << 22;
inline constexpr int64_t kMostContext = int64_t{1} << 27;

// Whether a factor or cap has a size that floats and sums of them bear: kScales.
inline constexpr const char* kScales = "1e-6 to 1e6";
constexpr bool IsScale(double value) { return value >= 1e-6 && value <= 1e6; }

// Kernels work on 16 channels at a time, and value groups of 128 must divide a head.
constexpr bool IsHeadDim(int64_t width) {
  return (width > 0 && width % 16 == 0 && width <= kKvGroup) || width == 2 * kKvGroup;
}

}  // namespace quantspec
