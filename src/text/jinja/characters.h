// Characters as Python's str methods know them. Broken UTF-8 counts as one character a byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/marked_text.h"

namespace quantspec::jinja {

bool IsSpaceCode(uint32_t code);     // str.isspace
bool IsPrintable(uint32_t code);     // str.isprintable
bool IsAlphabetic(uint32_t code);    // str.isalpha
bool IsDigitCode(uint32_t code);     // str.isdigit
bool IsAlphanumeric(uint32_t code);  // str.isalnum
bool IsUpper(uint32_t code);         // has a lower case of its own
bool IsLower(uint32_t code);

// Bytes of white space in front of `text`.
size_t SpacePrefix(std::string_view text);
std::string_view StripRight(std::string_view text);

// A character of a text: its bytes and code; 0xFFFD where they are broken.
struct Character {
  size_t begin, end;
  uint32_t code;
};
std::vector<Character> Characters(std::string_view text);
size_t CountCharacters(std::string_view text);
void AppendUtf8(uint32_t code, std::string* text);

enum class Case { kLower, kUpper, kTitle, kSwapped };
MarkedText ToCase(const MarkedText& text, Case to);
// The first character of each word in upper case, the rest in lower (str.title).
MarkedText ToTitle(const MarkedText& text);
// The first character in title case (or `first`), the rest in lower.
MarkedText Capitalise(const MarkedText& text, Case first = Case::kTitle);

}  // namespace quantspec::jinja
