// Memory that runs out in the middle of work: an error that says what to do about it.
#pragma once

#include <new>

#include "quantspec/error.h"

namespace quantspec {

// The result of work(). Where memory ran out in it, throws Error{kMemory} with the text of
// advise(), which is called when what `work` had taken is free again.
template <typename Work, typename Advise>
auto OrOutOfMemory(const Work& work, const Advise& advise) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kMemory) throw;
  }
  throw Error(ErrorKind::kMemory, advise());
}

}  // namespace quantspec
