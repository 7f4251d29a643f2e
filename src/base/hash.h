// A 64-bit digest for comparing stored bytes; not cryptographic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/random.h"

namespace quantspec {

class Digest {
 public:
  void Add(std::span<const std::byte> bytes) {
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      uint64_t word;
      std::memcpy(&word, bytes.data() + i, 8);
      state_ = MixBits(state_ ^ word);
    }
    uint64_t rest = bytes.size();
    for (; i < bytes.size(); ++i) rest = rest << 8 | static_cast<uint64_t>(bytes[i]);
    state_ = MixBits(state_ ^ rest);
  }
  template <typename T>
  void AddValues(std::span<const T> values) {
    Add(std::as_bytes(values));
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0;
};

}  // namespace quantspec
