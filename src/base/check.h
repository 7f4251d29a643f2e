// Checks of our own promises. Bad input from outside throws quantspec::Error instead and must
// never reach one of these.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace quantspec {
[[noreturn]] inline void CheckFailed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
  std::abort();
}
}  // namespace quantspec

#define QS_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::quantspec::CheckFailed(__FILE__, __LINE__, #condition))

#ifdef NDEBUG
#define QS_DCHECK(condition) static_cast<void>(0)
#else
#define QS_DCHECK(condition) QS_CHECK(condition)
#endif
