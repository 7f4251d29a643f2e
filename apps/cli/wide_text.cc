#include "cli/wide_text.h"

#include <algorithm>
#include <cstdint>

#include "cli/documents.h"

namespace quantspec::cli {
namespace {

constexpr wchar_t kReplacement = 0xFFFD;
static_assert(sizeof(wchar_t) == 4, "a wide character holds every code point");

size_t CharacterBytesOf(uint8_t lead) {
  if (lead < 0xC2 || lead > 0xF4) return 1;
  return lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
}

}  // namespace

FirstCharacter ReadCharacter(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const auto continues = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; };
  if (text.size() < CharacterBytesOf(byte(0)) &&
      std::all_of(text.begin() + 1, text.end(), continues)) {
    return {};
  }
  const size_t bytes = CharacterBytes(text);
  if (bytes == 0) return {1, kReplacement};
  uint32_t code = bytes == 1 ? byte(0) : byte(0) & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3Fu);
  return {bytes, static_cast<wchar_t>(code)};
}

std::wstring Widen(std::string_view text) {
  std::wstring wide;
  wide.reserve(text.size());
  while (!text.empty()) {
    const FirstCharacter next = ReadCharacter(text.substr(0, 4));
    wide += next.bytes == 0 ? kReplacement : next.code;
    text.remove_prefix(std::max<size_t>(next.bytes, 1));
  }
  return wide;
}

std::string Narrow(std::wstring_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  const auto add = [&](uint32_t byte) { bytes += static_cast<char>(byte); };
  for (const wchar_t wide : text) {
    auto code = static_cast<uint32_t>(wide);
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) code = kReplacement;
    if (code < 0x80) {
      add(code);
    } else if (code < 0x800) {
      add(0xC0 | code >> 6);
      add(0x80 | (code & 0x3F));
    } else {
      if (code < 0x10000) {
        add(0xE0 | code >> 12);
      } else {
        add(0xF0 | code >> 18);
        add(0x80 | (code >> 12 & 0x3F));
      }
      add(0x80 | (code >> 6 & 0x3F));
      add(0x80 | (code & 0x3F));
    }
  }
  return bytes;
}

}  // namespace quantspec::cli
