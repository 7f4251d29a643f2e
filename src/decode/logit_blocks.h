// Whole-vocabulary passes over a row of logits, in blocks whose maxima let later passes skip most
// of the vocabulary. Written so that compilers turn the inner loops into vector code.
#pragma once

#include <cstdint>
#include <span>

#include "base/logit_rows.h"

namespace quantspec {

inline constexpr int kLogitBlock = 128;

inline int LogitBlocks(int vocab) { return (vocab + kLogitBlock - 1) / kLogitBlock; }

// maxima[b] = the largest logit of block b; NaN is ignored, -infinity where nothing is left.
// Returns the largest of all.
float BlockMaxima(std::span<const float> logits, std::span<float> maxima);

// The same from the maxima of packs, of which kLogitBlock is a multiple. They may cover more logits
// than there are here: what lies beyond has no part in it.
float BlockMaximaOfPacks(std::span<const float> logits, const PackMaxima& packs,
                         std::span<float> maxima);

// Index of the first logit equal to `largest`; 0 if there is none (all NaN).
int FirstEqual(std::span<const float> logits, std::span<const float> maxima, float largest);

// out[i] = exp((logits[i] - largest) * scale) to 1e-5 relative, 0 for NaN and below exp(-87);
// returns the sum. `largest` is finite. out may be empty: the sum only.
double Exponentials(std::span<const float> logits, float largest, float scale,
                    std::span<float> out);

// The first index at which the running sum of max(0, a[i] - b[i]) exceeds `share` (0 to 1) of the
// whole; -1 if the whole is 0. An empty b counts as zeros.
int PickByMass(std::span<const float> a, std::span<const float> b, double share);

}  // namespace quantspec
