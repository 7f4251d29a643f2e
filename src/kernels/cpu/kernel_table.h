// What one instruction set exports: plain functions, each doing one thread's share of an
// operation. CpuBackend picks a table at run time and spreads the work.
//
// To add kernels: declare a struct of function pointers in x_kernels.h, write the text in x-inl.h
// in namespace QS_ISA over the words of words_*.h, ending in `constexpr XKernels kXKernels{...}`,
// include it in isa_text.h, and add a member here.
#pragma once

#include <string_view>

#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/kv_kernels.h"
#include "kernels/cpu/matmul_kernels.h"
#include "kernels/cpu/peak_kernels.h"
#include "kernels/cpu/rows_kernels.h"
#include "kernels/cpu/weigh_kernels.h"

namespace quantspec::cpu {

struct KernelTable {
  std::string_view isa;
  MatMulKernels matmul;
  RowsKernels rows;
  KvKernels kv;
  AttentionKernels attention;
  WeighKernels weigh;
  PeakKernels peak;
};

}  // namespace quantspec::cpu
