// SplitMix64 [steele2014]: random words that are the same everywhere.
#pragma once

#include <cstdint>

namespace quantspec::eval {

// What its state grows by from one output to the next.
inline constexpr uint64_t kSplitMixStep = 0x9E3779B97F4A7C15u;

// The first output of the generator seeded with `state`.
inline uint64_t SplitMix(uint64_t state) {
  state += kSplitMixStep;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
  return state ^ (state >> 31);
}

}  // namespace quantspec::eval
