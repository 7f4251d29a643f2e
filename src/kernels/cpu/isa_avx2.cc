// Kernels for AVX2 with FMA and F16C.
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_headers.h"

#if defined(__x86_64__)

#define QS_ISA isa_avx2
#define QS_WORDS "kernels/cpu/words_avx2.h"
QS_TARGET_BEGIN("avx2,fma,f16c")
#include "kernels/cpu/isa_text.h"
QS_TARGET_END

namespace quantspec::cpu {
const KernelTable& Avx2Table() {
  static constexpr KernelTable kTable{"avx2",
                                      QS_ISA::kMatMulKernels,
                                      QS_ISA::kRowsKernels,
                                      QS_ISA::kKvKernels,
                                      QS_ISA::kAttentionKernels,
                                      QS_ISA::kWeighKernels,
                                      QS_ISA::kPeakKernels};
  return kTable;
}
}  // namespace quantspec::cpu

#endif
