// The sign that SentencePiece writes for a space, and its names of bytes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace quantspec {

inline constexpr std::string_view kSpaceSign = "\xE2\x96\x81";  // U+2581 stands for a space

inline std::string EscapeSpaces(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      escaped += kSpaceSign;
    } else {
      escaped += c;
    }
  }
  return escaped;
}

inline std::string UnescapeSpaces(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  while (!text.empty()) {
    if (text.starts_with(kSpaceSign)) {
      plain += ' ';
      text.remove_prefix(kSpaceSign.size());
    } else {
      plain += text[0];
      text.remove_prefix(1);
    }
  }
  return plain;
}

// The byte that a token named "<0x0A>" stands for; -1 for other names.
inline int ByteOf(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return -1;
  int byte = 0;
  for (const char c : name.substr(3, 2)) {
    const bool is_digit = c >= '0' && c <= '9', is_letter = c >= 'A' && c <= 'F';
    if (!is_digit && !is_letter) return -1;
    byte = byte * 16 + (is_digit ? c - '0' : c - 'A' + 10);
  }
  return byte;
}

// Calls `add(word)` for every word of a text with escaped spaces; those before it belong to it.
template <typename Add>
void ForEachWord(std::string_view text, const Add& add) {
  while (!text.empty()) {
    size_t end = 0;
    while (text.substr(end).starts_with(kSpaceSign)) end += kSpaceSign.size();
    end = std::min(text.find(kSpaceSign, end), text.size());
    add(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// True if a space follows something else in `text`.
inline bool HasInnerSpace(std::string_view text) {
  while (text.starts_with(kSpaceSign)) text.remove_prefix(kSpaceSign.size());
  return text.find(kSpaceSign) != std::string_view::npos;
}

}  // namespace quantspec
