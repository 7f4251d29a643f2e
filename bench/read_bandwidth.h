// How fast this machine reads memory.
#pragma once

namespace quantspec {

// Gigabytes (1e9) a second that `threads` threads read together from memory several times the size
// of the last-level cache, up to 1 GiB: the best of a few passes. Takes about a second.
// Throws Error{kMemory}.
double MeasureReadBandwidth(int threads);

}  // namespace quantspec
