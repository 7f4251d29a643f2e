// Kernels in plain C++ for every CPU.
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_headers.h"

#define QS_ISA isa_portable
#define QS_WORDS "kernels/cpu/words_portable.h"
#include "kernels/cpu/isa_text.h"

namespace quantspec::cpu {
const KernelTable& PortableTable() {
  static constexpr KernelTable kTable{
      "portable",          QS_ISA::kMatMulKernels,    QS_ISA::kRowsKernels,
      QS_ISA::kKvKernels,  QS_ISA::kAttentionKernels, QS_ISA::kWeighKernels,
      QS_ISA::kPeakKernels};
  return kTable;
}
}  // namespace quantspec::cpu
