// Kernels for AVX-512 with VNNI (Zen 4, Ice Lake and later), with BF16 on top (Zen 4, Cooper Lake,
// Sapphire Rapids and later), and with AMX on top of that (Sapphire Rapids and later).
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_headers.h"

#if defined(__x86_64__)

#define QS_ISA isa_avx512
#define QS_WORDS "kernels/cpu/words_avx512.h"
QS_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#include "kernels/cpu/isa_text.h"
QS_TARGET_END

QS_TARGET_BEGIN("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
// clang-format off
#include "kernels/cpu/words_avx512_bf16.h"
#include "kernels/cpu/attention_pairs-inl.h"
#include "kernels/cpu/matmul_pairs-inl.h"
#include "kernels/cpu/peak_pairs-inl.h"
// clang-format on
QS_TARGET_END

QS_TARGET_BEGIN(
    "amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
// clang-format off
#include "kernels/cpu/words_amx.h"
#include "kernels/cpu/matmul_tiles-inl.h"
#include "kernels/cpu/attention_tiles-inl.h"
// clang-format on
QS_TARGET_END

namespace quantspec::cpu {
const KernelTable& Avx512Table(bool has_bf16) {
  static constexpr KernelTable kTable{"avx512",
                                      QS_ISA::kMatMulKernels,
                                      QS_ISA::kRowsKernels,
                                      QS_ISA::kKvKernels,
                                      QS_ISA::kAttentionKernels,
                                      QS_ISA::kWeighKernels,
                                      QS_ISA::kPeakKernels};
  static constexpr KernelTable kBf16Table{"avx512",
                                          QS_ISA::kPairMatMulKernels,
                                          QS_ISA::kRowsKernels,
                                          QS_ISA::kKvKernels,
                                          QS_ISA::kPairAttentionKernels,
                                          QS_ISA::kWeighKernels,
                                          QS_ISA::kPairPeakKernels};
  return has_bf16 ? kBf16Table : kTable;
}
const KernelTable& AmxTable() {
  static constexpr KernelTable kTable{"amx",
                                      QS_ISA::kTileMatMulKernels,
                                      QS_ISA::kRowsKernels,
                                      QS_ISA::kKvKernels,
                                      QS_ISA::kTileAttentionKernels,
                                      QS_ISA::kWeighKernels,
                                      QS_ISA::kPairPeakKernels};
  return kTable;
}
}  // namespace quantspec::cpu

#endif
