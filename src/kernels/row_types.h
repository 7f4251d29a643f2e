// What operations on whole rows are told, beside the rows.
#pragma once

#include <cstdint>

namespace quantspec {

enum class RopeLayout : uint8_t {
  kPairs,   // channels (0, 1), (2, 3), ...
  kHalves,  // channels (i, i + rotated / 2)
};

// Rotates the first `rotated` channels of every head by angles that grow with the position.
struct Rotation {
  int rotated = 0;  // even, at most head_dim; 0: nothing is rotated
  RopeLayout layout = RopeLayout::kPairs;
  // Cosine and sine of position p, pair i: at [p * rotated + 2 i] and [.. + 1]; device memory, made
  // by the model for all positions of the context, so that an angle has one value everywhere.
  const float* table = nullptr;
};

// What a gated activation makes of its gate.
enum class Activation : uint8_t {
  kSilu,      // g / (1 + e^-g)
  kGeluTanh,  // g / 2 (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3)))
};

}  // namespace quantspec
