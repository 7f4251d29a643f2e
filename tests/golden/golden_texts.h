// Texts that tokenizers are compared over, as random_texts.py makes them, and hashes of what they
// give.
#pragma once

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/types.h"
#include "text/utf8.h"

namespace quantspec::golden {

// Of a file in this folder.
inline std::string Path(const std::string& name) { return std::string(QS_GOLDEN_DIR) + "/" + name; }

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The valid texts of nasty.json.
inline std::vector<std::string> ValidNastyTexts() {
  std::vector<std::string> texts;
  for (const auto& entry : nlohmann::json::parse(ReadFile(Path("nasty.json")))) {
    if (entry.contains("text")) texts.push_back(entry["text"]);
  }
  return texts;
}

inline std::vector<std::string> RandomStrings(std::string_view alphabet, size_t count) {
  std::vector<std::string> characters;
  for (size_t at = 0; at < alphabet.size();) {
    const size_t bytes = NextUtf8(alphabet.substr(at)).bytes;
    characters.emplace_back(alphabet.substr(at, bytes));
    at += bytes;
  }
  uint32_t state = 1;
  const auto draw = [&](size_t most) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % most;
  };
  std::vector<std::string> strings(count);
  for (std::string& text : strings) {
    for (size_t left = 1 + draw(24); left > 0; --left) text += characters[draw(characters.size())];
  }
  return strings;
}

// FNV-1a, 64 bits.
class Fnv {
 public:
  void Add(const std::vector<Token>& tokens) {  // as little-endian 32-bit numbers
    for (const Token token : tokens) {
      for (int shift = 0; shift < 32; shift += 8) {
        Add(static_cast<uint8_t>(static_cast<uint32_t>(token) >> shift));
      }
    }
  }
  void Add(std::string_view text) {
    for (const char c : text) Add(static_cast<uint8_t>(c));
  }
  std::string Text() const {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value_));
    return text;
  }

 private:
  void Add(uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001B3u; }

  uint64_t value_ = 0xCBF29CE484222325u;
};

}  // namespace quantspec::golden
