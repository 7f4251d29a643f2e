// The printable characters that stand for bytes in byte-level BPE vocabularies. [gpt2]
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/utf8.h"

namespace quantspec {

// The bytes that have a visible Latin-1 character stand for themselves; the other 68, ascending,
// are U+0100 and on.
inline constexpr bool StandsForItself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

inline constexpr std::array<uint8_t, 68> kShiftedBytes = [] {
  std::array<uint8_t, 68> bytes{};
  size_t count = 0;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if (!StandsForItself(byte)) bytes[count++] = static_cast<uint8_t>(byte);
  }
  return bytes;
}();

// The bytes that `name` stands for, appended to `bytes`; false (and `bytes` as it was) if a
// character of it is not of the alphabet.
inline bool AppendAlphabetBytes(std::string_view name, std::string* bytes) {
  const size_t before = bytes->size();
  while (!name.empty()) {
    const Utf8Step step = NextUtf8(name);
    const bool shifted = step.code >= 0x100 && step.code < 0x100 + kShiftedBytes.size();
    const bool itself = step.code < 0x100 && StandsForItself(step.code);
    if (step.kind != Utf8Kind::kValid || (!shifted && !itself)) {
      bytes->resize(before);
      return false;
    }
    bytes->push_back(static_cast<char>(shifted ? kShiftedBytes[step.code - 0x100] : step.code));
    name.remove_prefix(step.bytes);
  }
  return true;
}

}  // namespace quantspec
