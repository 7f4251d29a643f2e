// SHA-256 [fips180], for keys that nobody can make collide.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace quantspec {

using Sha256Hash = std::array<uint8_t, 32>;

class Sha256 {
 public:
  void Add(std::span<const std::byte> bytes);
  void Add(std::string_view text) { Add(std::as_bytes(std::span(text))); }
  // The hash of all that was added; the object is used up.
  Sha256Hash Finish();

 private:
  void AddBlock(const uint8_t* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_{};
  size_t filled_ = 0;    // bytes of block_
  uint64_t length_ = 0;  // bytes in all
};

// Two lower-case digits a byte.
std::string HexOf(std::span<const uint8_t> bytes);

}  // namespace quantspec
