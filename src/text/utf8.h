// Walking over UTF-8 that may be broken. [unicode, table 3-7]
#pragma once

#include <cstdint>
#include <string_view>

namespace quantspec {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

enum class Utf8Kind : uint8_t {
  kValid,       // a character of `bytes` bytes
  kInvalid,     // `bytes` bytes (a maximal subpart) that no continuation can mend
  kIncomplete,  // the text ends inside a character; `bytes` of it are there
};

struct Utf8Step {
  Utf8Kind kind;
  size_t bytes;
  uint32_t code;  // of a valid character
};

// The first step of a non-empty text.
inline Utf8Step NextUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {Utf8Kind::kValid, 1, first};
  if (first < 0xC2 || first > 0xF4) return {Utf8Kind::kInvalid, 1, 0};
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // The second byte has a narrower range after some first bytes (no overlong forms, no surrogates,
  // nothing above U+10FFFF).
  uint8_t low = 0x80, high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  uint32_t code = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (i == text.size()) return {Utf8Kind::kIncomplete, i, 0};
    if (byte(i) < low || byte(i) > high) return {Utf8Kind::kInvalid, i, 0};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return {Utf8Kind::kValid, length, code};
}

}  // namespace quantspec
