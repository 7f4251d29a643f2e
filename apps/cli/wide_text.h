// UTF-8 and the wide characters of a terminal's line editor, which are code points.
#pragma once

#include <string>
#include <string_view>

namespace quantspec::cli {

// Bytes of the character at the beginning of a text, however much of it has arrived.
struct FirstCharacter {
  size_t bytes = 0;  // 0: its end has not arrived
  wchar_t code = 0;  // U+FFFD for a byte that belongs to no well-formed character
};
FirstCharacter ReadCharacter(std::string_view text);

// Broken bytes become U+FFFD, one each.
std::wstring Widen(std::string_view text);
// What is no code point becomes U+FFFD.
std::string Narrow(std::wstring_view text);

}  // namespace quantspec::cli
