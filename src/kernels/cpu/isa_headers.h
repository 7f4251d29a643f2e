// Everything that kernel texts may use, to be included before a target region begins.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/float16.h"
#include "base/view.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/target.h"

#if defined(__x86_64__)
#if !defined(__clang__)  // GCC 12 warns about its own _mm512_undefined_ps()
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
