// Counter-based random numbers: a value depends on its key and nothing else, so any order of
// evaluation and any thread gives the same stream.
#pragma once

#include <cstdint>

namespace quantspec {

// A well-mixed 64-bit hash of one word (the finaliser of SplitMix64 [steele2014]).
inline uint64_t MixBits(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// The random word with key (seed, stream, index).
inline uint64_t RandomBits(uint64_t seed, uint64_t stream, uint64_t index) {
  return MixBits(MixBits(MixBits(seed) ^ stream) ^ index);
}

// Uniform in the open interval (0, 1): never 0, never 1.
inline double RandomUniform(uint64_t seed, uint64_t stream, uint64_t index) {
  return (static_cast<double>(RandomBits(seed, stream, index) >> 12) + 0.5) * 0x1p-52;
}

}  // namespace quantspec
