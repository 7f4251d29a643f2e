#include "text/characters.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <memory>

#include "base/check.h"
#include "quantspec/error.h"
#include "text/utf8.h"

namespace quantspec {
namespace {

bool IsSpace(uint32_t code) {
  return (code >= 0x9 && code <= 0xD) || code == 0x20 || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

// The character that `text` ends with; kInvalid if there is none.
Utf8Step LastCharacter(std::string_view text) {
  for (size_t bytes = 1; bytes <= 4 && bytes <= text.size(); ++bytes) {
    const Utf8Step step = NextUtf8(text.substr(text.size() - bytes));
    if (step.kind == Utf8Kind::kValid && step.bytes == bytes) return step;
  }
  return {Utf8Kind::kInvalid, 0, 0};
}

// `character` is one valid character.
bool IsWordCharacter(std::string_view character) {
  static pcre2_code* const code = [] {
    int error = 0;
    PCRE2_SIZE offset = 0;
    return pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>("[\\p{L}\\p{M}\\p{Nl}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]"),
        PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
  }();
  QS_CHECK(code != nullptr);
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (match == nullptr) throw Error(ErrorKind::kMemory, "tokenizer: no memory left");
  return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(character.data()), character.size(), 0, 0,
                     match.get(), nullptr) > 0;
}

}  // namespace

size_t SpaceBytesAtStart(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = NextUtf8(text.substr(at));
    if (step.kind != Utf8Kind::kValid || !IsSpace(step.code)) break;
    at += step.bytes;
  }
  return at;
}

size_t SpaceBytesAtEnd(std::string_view text) {
  size_t size = text.size();
  while (size > 0) {
    const Utf8Step step = LastCharacter(text.substr(0, size));
    if (step.kind != Utf8Kind::kValid || !IsSpace(step.code)) break;
    size -= step.bytes;
  }
  return text.size() - size;
}

bool StartsWithWordCharacter(std::string_view text) {
  if (text.empty()) return false;
  const Utf8Step step = NextUtf8(text);
  return step.kind == Utf8Kind::kValid && IsWordCharacter(text.substr(0, step.bytes));
}

bool EndsWithWordCharacter(std::string_view text) {
  const Utf8Step step = LastCharacter(text);
  return step.kind == Utf8Kind::kValid && IsWordCharacter(text.substr(text.size() - step.bytes));
}

}  // namespace quantspec
