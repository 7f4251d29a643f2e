// Kernels for AVX-512 with VNNI (Zen 4, Ice Lake and later).
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_headers.h"

#if defined(__x86_64__)

#define QS_ISA isa_avx512
#define QS_WORDS "kernels/cpu/words_avx512.h"
QS_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#include "kernels/cpu/isa_text.h"
QS_TARGET_END

namespace quantspec::cpu {
const KernelTable& Avx512Table() {
  static constexpr KernelTable kTable{"avx512", QS_ISA::kMatMulKernels, QS_ISA::kRowsKernels,
                                      QS_ISA::kKvKernels, QS_ISA::kAttentionKernels};
  return kTable;
}
}  // namespace quantspec::cpu

#endif
