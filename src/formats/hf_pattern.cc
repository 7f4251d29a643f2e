#include "formats/hf_pattern.h"

#include <algorithm>

#include "io/byte_cursor.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// Unicode's property White_Space; PCRE2's own \s differs from it.
constexpr std::string_view kSpaces =
    "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
    "\\x{3000}";
constexpr std::string_view kMeta = "\\^$.|?*+()[]{}-";

bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string Run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        Escape();
      } else if (is_in_class_) {
        InClass(c);
      } else {
        Outside(c);
      }
    }
    return out_;
  }

 private:
  [[noreturn]] void Refuse(const std::string& what) const {
    throw Error(ErrorKind::kUnsupported,
                where_ + ": pattern \"" + Printable(pattern_) + "\": found " + what + " at byte " +
                    std::to_string(at_) + ", which this build cannot match as the file means it");
  }
  bool Follows(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  void Take(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }

  void Outside(char c) {
    if (c == '[') {
      is_in_class_ = true;
      Take(Follows("[^") ? 2 : 1);
      if (Follows("]")) Refuse("a class that begins with ]");
    } else if (c == '$') {  // the end of any line
      out_ += "(?=\\n|\\z)";
      ++at_;
    } else if (c == '^') {
      out_ += "(?:(?<=\\n)|\\A)";
      ++at_;
    } else if (c == '(' && Follows("(?")) {
      Group();
    } else if (c == '}' && Follows("}+")) {
      Refuse("a repeated interval");  // possessive to one of them only
    } else {
      Take(1);
    }
  }

  void Group() {
    for (const std::string_view known :
         {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i)", "(?-i)", "(?-i:"}) {
      if (!Follows(known)) continue;
      Take(known.size());
      return;
    }
    Refuse("\"" + std::string(pattern_.substr(at_, 4)) + "\"");
  }

  void InClass(char c) {
    if (c == '[') Refuse("a class in a class");
    if (c == '&' && Follows("&&")) Refuse("\"&&\" in a class");
    if (c == ']') is_in_class_ = false;
    Take(1);
  }

  void Escape() {
    if (at_ + 1 == pattern_.size()) Refuse("a backslash at the end");
    const char c = pattern_[at_ + 1];
    switch (c) {
      case 's':
        out_.append(is_in_class_ ? "" : "[").append(kSpaces).append(is_in_class_ ? "" : "]");
        at_ += 2;
        return;
      case 'S':
        out_.append(is_in_class_ ? "\\P{White_Space}" : "[^" + std::string(kSpaces) + "]");
        at_ += 2;
        return;
      case 'p':
      case 'P':
        Property();
        return;
      case 'u':
        Hex(2, 4);
        return;
      case 'x':
        if (pattern_.substr(at_).starts_with("\\x{")) {
          Take(std::min(pattern_.find('}', at_), pattern_.size() - 1) - at_ + 1);
        } else {
          Hex(2, 2);
        }
        return;
      case 'd':
      case 'D':
      case 'r':
      case 'n':
      case 't':
      case 'f':
      case 'A':
      case 'z':
        Take(2);
        return;
      default:
        if (IsAlnum(c) || static_cast<signed char>(c) < 0) {
          Refuse("\"\\" + std::string(1, c) + "\"");
        }
        Take(2);
    }
  }

  void Property() {
    const size_t end = pattern_.find('}', at_);
    if (pattern_.substr(at_ + 2, 1) != "{" || end == std::string_view::npos) {
      Refuse("a property without braces");
    }
    Take(end + 1 - at_);
  }

  void Hex(size_t from, size_t digits) {
    const std::string_view number = pattern_.substr(at_).substr(from, digits);
    if (number.size() != digits || !std::all_of(number.begin(), number.end(), IsHex)) {
      Refuse("a character's number without its digits");
    }
    out_.append("\\x{").append(number).append("}");
    at_ += from + digits;
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool is_in_class_ = false;
};

}  // namespace

std::string TranslatePattern(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).Run();
}

std::string LiteralPattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (kMeta.find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace quantspec
