// How fast the words of an instruction set multiply when nothing waits for memory: the second roof
// that kernels stand under.
#pragma once

#include <cstdint>

namespace quantspec::cpu {

// Each runs `steps` rounds of independent chains from registers, as many as the kernels keep, and
// returns the additions and multiplications that were in them.
struct PeakKernels {
  int64_t (*int4)(int64_t steps);  // codes of one plane by int8
  int64_t (*int8)(int64_t steps);  // codes of both planes by int8
  int64_t (*f32)(int64_t steps);
  int64_t (*bf16)(int64_t steps);  // null where the instruction set has no such products
};

}  // namespace quantspec::cpu
