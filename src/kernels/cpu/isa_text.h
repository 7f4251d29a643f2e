// All kernel texts, for one instruction set: included once by each isa_*.cc, inside its target
// region, with QS_ISA (the namespace) and QS_WORDS (the file of its words) defined. Order matters.

// clang-format off
#include QS_WORDS
#include "kernels/cpu/exp-inl.h"
#include "kernels/cpu/matmul_rows-inl.h"
#include "kernels/cpu/matmul-inl.h"
#include "kernels/cpu/matmul_dense-inl.h"
#include "kernels/cpu/rows-inl.h"
#include "kernels/cpu/kv-inl.h"
#include "kernels/cpu/softmax-inl.h"
#include "kernels/cpu/attention_dense-inl.h"
#include "kernels/cpu/weigh-inl.h"
#include "kernels/cpu/attention_codes-inl.h"
#include "kernels/cpu/attention_sealed-inl.h"
#include "kernels/cpu/peak-inl.h"
// clang-format on
