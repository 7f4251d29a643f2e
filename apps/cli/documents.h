// Texts from files and standard input, checked for being text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quantspec::cli {

struct Document {
  std::string name;  // for messages: the path, or "standard input"
  std::string text;
};

inline constexpr size_t kMaxDocumentBytes = size_t{256} << 20;

// All bytes of the file; "-" is standard input. Throws Error: kIo, and kUsage for more than
// kMaxDocumentBytes.
Document ReadDocument(const std::string& path);

// Bytes of the well-formed character at the beginning of a non-empty text, 0 if there is none.
// [unicode, table 3-7]
size_t CharacterBytes(std::string_view text);

struct Utf8Faults {
  size_t count = 0;  // bytes that belong to no well-formed character
  size_t first = 0;  // offset of the first one
};
Utf8Faults FindUtf8Faults(std::string_view text);

// Throws Error{kUnsupported}, saying where, for binary data: a NUL byte, or more than a tenth of it
// outside UTF-8. Returns a warning for fewer faults than that.
std::optional<std::string> CheckText(const Document& document);

// The documents one after the other, then `prompt`. kParagraphs puts a blank line between them.
enum class Join { kAsIs, kParagraphs };
std::string JoinTexts(std::span<const Document> documents, std::string_view prompt, Join join);

}  // namespace quantspec::cli
