// Target regions: functions between QS_TARGET_BEGIN and QS_TARGET_END are compiled for the named
// instruction sets, whatever the flags of the file. Kernel text lives only in such regions.
//
// Rules inside a region (they keep AVX-512 code out of what a plain CPU runs):
// - include every standard header before it, and call no inline function of one inside it: the
//   linker might keep that copy for the whole program;
// - everything defined inside belongs to the ISA's own namespace, QS_ISA;
// - no lambdas around intrinsics (clang does not give them the region's target).
#pragma once

#define QS_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define QS_TARGET_BEGIN(isas) \
  QS_PRAGMA(clang attribute push(__attribute__((target(isas))), apply_to = function))
#define QS_TARGET_END QS_PRAGMA(clang attribute pop)
#else
#define QS_TARGET_BEGIN(isas) QS_PRAGMA(GCC push_options) QS_PRAGMA(GCC target(isas))
#define QS_TARGET_END QS_PRAGMA(GCC pop_options)
#endif

#define QS_INLINE inline __attribute__((always_inline))
#define QS_RESTRICT __restrict__
