// Angles of rotary position embeddings.
#pragma once

#include <cstdint>

#include "formats/model_config.h"

namespace quantspec {

// Cosine and sine of every position and pair: [positions, rotated / 2, 2]. Sequences of at most
// `context` tokens decide which of longrope's factors are used.
void FillRopeTable(const RopeConfig& rope, int context, int64_t positions, float* table);

}  // namespace quantspec
