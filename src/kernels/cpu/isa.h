// The instruction sets compiled in, and which of them this CPU runs.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cpu/kernel_table.h"

namespace quantspec::cpu {

#if defined(__x86_64__)
const KernelTable& AmxTable();                  // the next with BF16, and AMX with BF16
const KernelTable& Avx512Table(bool has_bf16);  // AVX-512 F, BW, DQ, VL, VNNI
const KernelTable& AvxVnniTable();              // AVX2, FMA, F16C and VNNI on 256 bits
const KernelTable& Avx2Table();                 // AVX2, FMA, F16C
#endif
const KernelTable& PortableTable();

// Tables this CPU can run, best first; never empty.
std::span<const KernelTable* const> AvailableTables();

// The table of that name. Throws Error{kUsage} that lists the available ones if there is none.
const KernelTable& FindTable(std::string_view isa);

// The best table, or the one that the environment variable QUANTSPEC_ISA names. Throws as above.
const KernelTable& DefaultTable();

// What a CPU gains by fetching ahead by instructions where few rows wait for memory; others do
// better alone there. Measured: docs/performance.md.
struct Fetches {
  // Of a sealed cache: near on Intel, far on AMD, of both planes not for few rows on Zen 4.
  PlaneFetch planes = PlaneFetch::kFarForSomeRows;
  bool weights = false;  // Intel
};
const Fetches& ThisCpuFetches();

}  // namespace quantspec::cpu
