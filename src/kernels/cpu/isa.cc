#include "kernels/cpu/isa.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "quantspec/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace quantspec::cpu {
namespace {

#if defined(__x86_64__)
struct CpuFeatures {
  bool avx2 = false;  // with FMA and F16C
  bool avx_vnni = false;
  bool avx512 = false;  // F, BW, DQ, VL, VNNI
  bool avx512_bf16 = false;
  bool amx = false;  // tiles of bf16, on top of the others
};

bool Bit(unsigned word, int bit) { return (word >> bit & 1u) != 0; }

// Linux gives a process tiles only after it asked for them, once and for all its threads.
bool AsksForTiles() {
#if defined(__linux__)
  constexpr long kAskForState = 0x1023;  // ARCH_REQ_XCOMP_PERM of <asm/prctl.h>, newer than some
  constexpr long kTileState = 18;
  return syscall(SYS_arch_prctl, kAskForState, kTileState) == 0;
#else
  return false;
#endif
}

// By hand because clang 14's __builtin_cpu_supports knows neither f16c nor avxvnni.
CpuFeatures Detect() {
  CpuFeatures features;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool saves_state = Bit(c, 27);
  const bool fma_f16c = Bit(c, 12) && Bit(c, 29);
  if (!saves_state) return features;
  unsigned state_low, state_high;
  __asm__("xgetbv" : "=a"(state_low), "=d"(state_high) : "c"(0));
  const bool ymm = (state_low & 0x06u) == 0x06u;
  const bool zmm = (state_low & 0xE6u) == 0xE6u;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  const unsigned amx_bits = d;
  features.avx2 = ymm && fma_f16c && Bit(b, 5);
  features.avx512 =
      features.avx2 && zmm && Bit(b, 16) && Bit(b, 17) && Bit(b, 30) && Bit(b, 31) && Bit(c, 11);
  if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    features.avx_vnni = features.avx2 && Bit(a, 4);
    features.avx512_bf16 = features.avx512 && Bit(a, 5);
  }
  const bool tiles = (state_low & 0x60000u) == 0x60000u && Bit(amx_bits, 22) && Bit(amx_bits, 24);
  features.amx = features.avx512_bf16 && tiles && AsksForTiles();
  return features;
}

Fetches DetectFetches() {
  unsigned a, b, c, d, vendor = 0;
  if (!__get_cpuid(0, &a, &vendor, &c, &d) || !__get_cpuid(1, &a, &b, &c, &d)) return {};
  const unsigned family = (a >> 8 & 0xfu) + (a >> 20 & 0xffu);
  // Zen 3 has the same family, without AVX-512.
  const bool is_zen4 = vendor == signature_AMD_ebx && family == 0x19 && Detect().avx512;
  const bool is_intel = vendor == signature_INTEL_ebx;
  const PlaneFetch planes = is_intel  ? PlaneFetch::kNear
                            : is_zen4 ? PlaneFetch::kFarForSomeRows
                                      : PlaneFetch::kFar;
  return {planes, is_intel};
}
#else
Fetches DetectFetches() { return {}; }
#endif

std::vector<const KernelTable*> DetectTables() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  const CpuFeatures features = Detect();
  if (features.amx) tables.push_back(&AmxTable());
  if (features.avx512) tables.push_back(&Avx512Table(features.avx512_bf16));
  if (features.avx_vnni) tables.push_back(&AvxVnniTable());
  if (features.avx2) tables.push_back(&Avx2Table());
#endif
  tables.push_back(&PortableTable());
  return tables;
}

}  // namespace

std::span<const KernelTable* const> AvailableTables() {
  static const std::vector<const KernelTable*> tables = DetectTables();
  return tables;
}

const Fetches& ThisCpuFetches() {
  static const Fetches fetches = DetectFetches();
  return fetches;
}

const KernelTable& FindTable(std::string_view isa) {
  std::string names;
  for (const KernelTable* table : AvailableTables()) {
    if (table->isa == isa) return *table;
    names += names.empty() ? "" : ", ";
    names += table->isa;
  }
  throw Error(ErrorKind::kUsage,
              "instruction set '" + std::string(isa) +
                  "' is unknown or not one that this CPU has; use one of: " + names);
}

const KernelTable& DefaultTable() {
  const char* wanted = std::getenv("QUANTSPEC_ISA");
  if (wanted == nullptr || *wanted == '\0') return *AvailableTables().front();
  try {
    return FindTable(wanted);
  } catch (const Error& error) {
    throw Error(ErrorKind::kUsage, std::string("QUANTSPEC_ISA: ") + error.what());
  }
}

}  // namespace quantspec::cpu
