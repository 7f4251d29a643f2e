// From logical rows to the packed layouts of matmul_kernels.h. Plain C++: packing is bound by
// memory as it is.
#pragma once

#include "kernels/backend.h"

namespace quantspec::cpu {

WeightBytes PackedBytes(const WeightSpec& spec);
// As Backend::PackQuantized and PackDense.
void PackQuantizedRows(const HqRows& rows, int64_t first_output, const PackedWeight& weight);
void PackDenseRows(ConstRows rows, int64_t first_output, const PackedWeight& weight);

}  // namespace quantspec::cpu
