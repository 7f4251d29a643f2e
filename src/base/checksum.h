// Checksums of stored bytes: XXH3 of 128 bits [xxhash]. They find damage, not forgery.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace quantspec {

using Checksum = std::array<uint8_t, 16>;

Checksum ChecksumOf(std::span<const std::byte> bytes);

// The same of bytes that come in pieces.
class ChecksumStream {
 public:
  ChecksumStream();
  ~ChecksumStream();
  void Add(std::span<const std::byte> bytes);
  Checksum value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace quantspec
