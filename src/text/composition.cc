#include "text/composition.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "text/utf8.h"

namespace quantspec {
namespace {

#include "text/composition_data.inc"

// Hangul syllables are composed by a rule. [unicode, 3.12]
constexpr uint32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr uint32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr uint32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

struct Parts {
  uint32_t first, second;  // second 0 = none
};

uint32_t Hex(std::string_view digits) {
  uint32_t value = 0;
  for (const char c : digits) {
    value = value * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10);
  }
  return value;
}

struct Tables {
  std::unordered_map<uint32_t, Parts> parts;
  std::unordered_map<uint64_t, uint32_t> composed;
  std::unordered_map<uint32_t, uint8_t> classes;

  Tables() {
    for (std::string_view rest = kPairs; !rest.empty(); rest.remove_prefix(15)) {
      composed[Key(Hex(rest.substr(5, 5)), Hex(rest.substr(10, 5)))] = AddPair(rest);
    }
    for (std::string_view rest = kOneWayPairs; !rest.empty(); rest.remove_prefix(15)) AddPair(rest);
    for (std::string_view rest = kSingles; !rest.empty(); rest.remove_prefix(10)) {
      parts[Hex(rest.substr(0, 5))] = {Hex(rest.substr(5, 5)), 0};
    }
    for (std::string_view rest = kCombiningClasses; !rest.empty(); rest.remove_prefix(12)) {
      for (uint32_t code = Hex(rest.substr(0, 5)); code <= Hex(rest.substr(5, 5)); ++code) {
        classes[code] = static_cast<uint8_t>(Hex(rest.substr(10, 2)));
      }
    }
  }

  uint32_t AddPair(std::string_view digits) {
    const uint32_t code = Hex(digits.substr(0, 5));
    parts[code] = {Hex(digits.substr(5, 5)), Hex(digits.substr(10, 5))};
    return code;
  }
  static uint64_t Key(uint32_t first, uint32_t second) { return uint64_t{first} << 32 | second; }
  uint8_t Class(uint32_t code) const {
    const auto found = classes.find(code);
    return found == classes.end() ? 0 : found->second;
  }
};

const Tables& Data() {
  static const Tables tables;
  return tables;
}

struct Character {
  uint32_t code;
  uint8_t order;  // combining class
};

void Decompose(uint32_t code, std::vector<Character>& out) {
  if (code - kSyllables < kSyllableCount) {
    const uint32_t index = code - kSyllables;
    out.push_back({kLeads + index / (kVowelCount * kTailCount), 0});
    out.push_back({kVowels + index / kTailCount % kVowelCount, 0});
    if (index % kTailCount != 0) out.push_back({kTails + index % kTailCount, 0});
    return;
  }
  // The first part may decompose further, the second one never does.
  const auto found = code < 0xC0 ? Data().parts.end() : Data().parts.find(code);
  if (found == Data().parts.end()) {
    out.push_back({code, code < 0x300 ? uint8_t{0} : Data().Class(code)});
    return;
  }
  Decompose(found->second.first, out);
  if (found->second.second != 0) {
    out.push_back({found->second.second, Data().Class(found->second.second)});
  }
}

// 0 = the two do not compose.
uint32_t ComposePair(uint32_t first, uint32_t second) {
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
  }
  if (first - kSyllables < kSyllableCount && (first - kSyllables) % kTailCount == 0 &&
      second > kTails && second < kTails + kTailCount) {
    return first + (second - kTails);
  }
  const auto found = Data().composed.find(Tables::Key(first, second));
  return found == Data().composed.end() ? 0 : found->second;
}

// Composes in place; the characters are decomposed and in canonical order.
void ComposeAll(std::vector<Character>& text) {
  constexpr size_t kNone = ~size_t{0};
  size_t starter = kNone, kept = 0;
  int last_order = -1;  // of what stands between the starter and the next character
  for (const Character character : text) {
    const bool is_blocked = last_order >= character.order && last_order != -1;
    if (starter != kNone && !is_blocked) {
      const uint32_t joined = ComposePair(text[starter].code, character.code);
      if (joined != 0) {
        text[starter].code = joined;
        continue;
      }
    }
    if (character.order == 0) {
      starter = kept;
      last_order = -1;
    } else {
      last_order = character.order;
    }
    text[kept++] = character;
  }
  text.resize(kept);
}

void AppendUtf8(uint32_t code, std::string& out) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

bool MayNeedComposing(std::string_view text) {
  // 0xCC begins U+0300; everything below is composed.
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) >= 0xCC; });
}

std::string Compose(std::string_view text) {
  std::vector<Character> characters;
  characters.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = NextUtf8(text.substr(at));
    Decompose(step.code, characters);
    at += step.bytes;
  }
  for (size_t begin = 0; begin < characters.size(); ++begin) {
    if (characters[begin].order == 0) continue;
    size_t end = begin + 1;
    while (end < characters.size() && characters[end].order != 0) ++end;
    std::stable_sort(characters.begin() + static_cast<ptrdiff_t>(begin),
                     characters.begin() + static_cast<ptrdiff_t>(end),
                     [](const Character& a, const Character& b) { return a.order < b.order; });
    begin = end;
  }
  ComposeAll(characters);
  std::string out;
  out.reserve(text.size());
  for (const Character& character : characters) AppendUtf8(character.code, out);
  return out;
}

}  // namespace quantspec
