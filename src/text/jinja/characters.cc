#include "text/jinja/characters.h"

#include <algorithm>
#include <iterator>

#include "text/utf8.h"

namespace quantspec::jinja {
namespace {

struct CharacterRange {
  uint32_t first, last;
};
struct CaseShift {
  uint32_t first, last, step;
  int32_t distance;
};
struct SeveralCharacters {
  uint32_t code;
  const char* text;
};

#include "text/jinja/character_cases.inc"
#include "text/jinja/character_classes.inc"

constexpr uint32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2;
constexpr uint32_t kDottedCapitalI = 0x130;

template <typename Table>
const auto* FindIn(const Table& table, uint32_t code) {
  const auto* found = std::partition_point(std::begin(table), std::end(table),
                                           [&](const auto& range) { return range.last < code; });
  return found != std::end(table) && found->first <= code ? found : nullptr;
}

template <typename Table>
uint32_t Shifted(const Table& table, uint32_t code) {
  const CaseShift* shift = FindIn(table, code);
  if (shift == nullptr || (code - shift->first) % shift->step != 0) return code;
  return static_cast<uint32_t>(static_cast<int32_t>(code) + shift->distance);
}

uint32_t LowerCode(uint32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  return Shifted(kToLower, code);
}

uint32_t UpperCode(uint32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  return Shifted(kToUpper, code);
}

template <size_t Count>
const char* FindText(const SeveralCharacters (&table)[Count], uint32_t code) {
  for (const SeveralCharacters& one : table) {
    if (one.code == code) return one.text;
  }
  return nullptr;
}

const char* SeveralUpper(uint32_t code) { return FindText(kToSeveralUpper, code); }

bool IsCased(uint32_t code) {
  return LowerCode(code) != code || UpperCode(code) != code || SeveralUpper(code) != nullptr ||
         code == kDottedCapitalI;
}

bool IsIgnoredByCase(uint32_t code) {
  return code < 0x80 ? code == '\'' || code == '.' || code == ':' || code == '^' || code == '`'
                     : FindIn(kIgnoredByCase, code) != nullptr;
}

// A sigma is written differently at the end of a word. [unicode, 3.13]
bool IsFinalSigma(const std::vector<Character>& characters, size_t at) {
  size_t before = at, after = at + 1;
  while (before > 0 && IsIgnoredByCase(characters[before - 1].code)) --before;
  while (after < characters.size() && IsIgnoredByCase(characters[after].code)) ++after;
  return before > 0 && IsCased(characters[before - 1].code) &&
         !(after < characters.size() && IsCased(characters[after].code));
}

// Appends one character of `text` in another case.
void AppendCased(const MarkedText& text, const std::vector<Character>& characters, size_t at,
                 Case to, MarkedText* out) {
  const auto& [begin, end, code] = characters[at];
  const bool to_lower = to == Case::kLower || (to == Case::kSwapped && IsUpper(code));
  std::string changed;
  if (to_lower) {
    if (code == kDottedCapitalI) {
      changed = "i\xCC\x87";
    } else if (code == kCapitalSigma && IsFinalSigma(characters, at)) {
      AppendUtf8(kFinalSigma, &changed);
    } else if (LowerCode(code) != code) {
      AppendUtf8(LowerCode(code), &changed);
    }
  } else if (const char* title = to == Case::kTitle ? FindText(kToTitle, code) : nullptr) {
    changed = title;
  } else if (const char* several = SeveralUpper(code)) {
    changed = several;
  } else if (UpperCode(code) != code) {
    AppendUtf8(UpperCode(code), &changed);
  }
  if (changed.empty()) {
    out->AppendSlice(text, begin, end);
  } else {
    out->Append(changed, text.OriginOf(begin, end));
  }
}

}  // namespace

bool IsSpaceCode(uint32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool IsPrintable(uint32_t code) {
  return code < 0x80 ? code >= 0x20 && code < 0x7F : FindIn(kNotPrintable, code) == nullptr;
}

bool IsAlphabetic(uint32_t code) {
  if (code < 0x80) return (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
  return FindIn(kAlphabetic, code) != nullptr;
}

bool IsDigitCode(uint32_t code) {
  return code < 0x80 ? code >= '0' && code <= '9' : FindIn(kDigits, code) != nullptr;
}

bool IsAlphanumeric(uint32_t code) {
  return IsAlphabetic(code) || IsDigitCode(code) ||
         (code >= 0x80 && FindIn(kNumeric, code) != nullptr);
}

bool IsUpper(uint32_t code) { return LowerCode(code) != code || code == kDottedCapitalI; }

bool IsLower(uint32_t code) {
  return !IsUpper(code) && (UpperCode(code) != code || SeveralUpper(code) != nullptr);
}

size_t SpacePrefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = NextUtf8(text.substr(at));
    if (step.kind != Utf8Kind::kValid || !IsSpaceCode(step.code)) break;
    at += step.bytes;
  }
  return at;
}

std::string_view StripRight(std::string_view text) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && text.size() - begin < 4 && (text[begin] & 0xC0) == 0x80) --begin;
    const Utf8Step step = NextUtf8(text.substr(begin));
    if (step.kind != Utf8Kind::kValid || begin + step.bytes != text.size() ||
        !IsSpaceCode(step.code)) {
      break;
    }
    text = text.substr(0, begin);
  }
  return text;
}

std::vector<Character> Characters(std::string_view text) {
  std::vector<Character> characters;
  characters.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = NextUtf8(text.substr(at));
    const bool is_valid = step.kind == Utf8Kind::kValid;
    const size_t end = at + (is_valid ? step.bytes : 1);
    characters.push_back({at, end, is_valid ? step.code : 0xFFFD});
    at = end;
  }
  return characters;
}

size_t CountCharacters(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    if ((text[at] & 0x80) == 0) {
      ++at;
      continue;
    }
    const Utf8Step step = NextUtf8(text.substr(at));
    at += step.kind == Utf8Kind::kValid ? step.bytes : 1;
  }
  return count;
}

void AppendUtf8(uint32_t code, std::string* text) {
  const auto add = [&](uint32_t byte) { *text += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

MarkedText ToCase(const MarkedText& text, Case to) {
  const std::vector<Character> characters = Characters(text.bytes());
  MarkedText out;
  for (size_t i = 0; i < characters.size(); ++i) AppendCased(text, characters, i, to, &out);
  out.set_markup(text.is_markup());
  return out;
}

MarkedText ToTitle(const MarkedText& text) {
  const std::vector<Character> characters = Characters(text.bytes());
  MarkedText out;
  bool in_word = false;
  for (size_t i = 0; i < characters.size(); ++i) {
    AppendCased(text, characters, i, in_word ? Case::kLower : Case::kTitle, &out);
    in_word = IsCased(characters[i].code);
  }
  return out;
}

MarkedText Capitalise(const MarkedText& text, Case first) {
  const std::vector<Character> characters = Characters(text.bytes());
  MarkedText out;
  for (size_t i = 0; i < characters.size(); ++i) {
    AppendCased(text, characters, i, i == 0 ? first : Case::kLower, &out);
  }
  return out;
}

}  // namespace quantspec::jinja
