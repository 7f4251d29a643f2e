// Kernels for AVX2 with VNNI on 256 bits (Alder Lake, Zen 5 and later).
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_headers.h"

#if defined(__x86_64__)

#define QS_ISA isa_avxvnni
#define QS_WORDS "kernels/cpu/words_avx2.h"
#define QS_ISA_AVX_VNNI
QS_TARGET_BEGIN("avx2,fma,f16c,avxvnni")
#include "kernels/cpu/isa_text.h"
QS_TARGET_END

namespace quantspec::cpu {
const KernelTable& AvxVnniTable() {
  static constexpr KernelTable kTable{
      "avxvnni",           QS_ISA::kMatMulKernels,    QS_ISA::kRowsKernels,
      QS_ISA::kKvKernels,  QS_ISA::kAttentionKernels, QS_ISA::kWeighKernels,
      QS_ISA::kPeakKernels};
  return kTable;
}
}  // namespace quantspec::cpu

#endif
