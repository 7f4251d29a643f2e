// A step of finding the largest of several numbers, written so that compilers turn it into vector
// code.
#pragma once

namespace quantspec {

// lanes[i] = the larger of lanes[i] and others[i], or lanes[i] if either is NaN.
template <int kCount>
inline void TakeLarger(const float* others, float* lanes) {
  for (int i = 0; i < kCount; ++i) {
    const float x = others[i];
    const float y = lanes[i];
    lanes[i] = x > y ? x : y;
  }
}

}  // namespace quantspec
