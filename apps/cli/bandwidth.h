// How fast this machine reads memory: the roof under which decoding stands.
#pragma once

namespace quantspec::cli {

// Gigabytes (1e9) a second that `threads` threads read together from a buffer several times the
// size of the last-level cache: the best of a few passes. Takes about a second.
double MeasureReadBandwidth(int threads);

}  // namespace quantspec::cli
