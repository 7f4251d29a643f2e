#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "text/jinja/characters.h"
#include "text/jinja/literals.h"

namespace quantspec::jinja {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool StartsName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

// Line ends as "\n", without the last one.
std::string Normalise(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<LexerToken> Run() {
    while (at_ < source_.size()) Root();
    Add(TokenKind::kEnd, "end of the template");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void Fail(const std::string& message) const { throw SyntaxFailure{line_, message}; }
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  bool At(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }
  void Add(TokenKind kind, std::string_view text) {
    tokens_.push_back({kind, line_, std::string(text), 0, 0});
  }

  // Moves on to `end`; what was passed counts for lines.
  void Advance(size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    if (end > at_) line_starting_ = source_[end - 1] == '\n';
    at_ = end;
  }
  size_t SkipSpace(size_t from) const {
    return from + SpacePrefix(std::string_view(source_).substr(from));
  }

  // The end of a tag whose closing mark is at `from`: with the space or the line break that goes
  // with it. npos if there is none.
  size_t TagEnd(size_t from, std::string_view close, bool trims) const {
    const std::string_view text = std::string_view(source_).substr(std::min(from, source_.size()));
    if (text.starts_with(close)) {
      const size_t end = from + close.size();
      return trims && end < source_.size() && source_[end] == '\n' ? end + 1 : end;
    }
    if (text.size() > close.size() && text.substr(1).starts_with(close)) {
      if (text[0] == '-') return SkipSpace(from + 1 + close.size());
      if (text[0] == '+' && trims) return from + 1 + close.size();
    }
    return std::string::npos;
  }

  // Data before a tag that begins at `begin`, stripped as the tag's sign says.
  void AddData(size_t begin, char sign, bool is_variable) {
    std::string_view text = std::string_view(source_).substr(at_, begin - at_);
    if (sign == '-') {
      text = StripRight(text);
    } else if (sign != '+' && !is_variable) {
      const size_t line = text.rfind('\n') + 1;  // npos + 1 = 0
      const std::string_view indent = text.substr(line);
      if ((line > 0 || line_starting_) && SpacePrefix(indent) == indent.size()) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) Add(TokenKind::kData, text);
    Advance(begin);
  }

  static char SignOf(char c) { return c == '-' || c == '+' ? c : '\0'; }

  void Root() {
    size_t begin = at_;
    for (;; ++begin) {
      begin = source_.find('{', begin);
      if (begin == std::string::npos || begin + 1 >= source_.size()) {
        Add(TokenKind::kData, std::string_view(source_).substr(at_));
        Advance(source_.size());
        return;
      }
      const char next = source_[begin + 1];
      if (next == '%' || next == '{' || next == '#') break;
    }
    const char kind = source_[begin + 1];
    const char sign = SignOf(begin + 2 < source_.size() ? source_[begin + 2] : '\0');
    AddData(begin, sign, kind == '{');
    const size_t inside = begin + 2 + (sign != '\0' ? 1 : 0);
    if (kind == '#') return Comment(inside);
    if (kind == '%') {
      const size_t raw = TagWithWord(begin, "raw", /*trims=*/false);
      if (raw != std::string::npos) return Raw(raw);
    }
    Add(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin,
        kind == '{' ? "{{" : "{%");
    Advance(inside);
    Inside(kind == '{');
  }

  // The end of a tag at `begin` that holds only `word`; npos if it is another tag.
  size_t TagWithWord(size_t begin, std::string_view word, bool trims) const {
    size_t at = begin + 2;
    if (at < source_.size() && SignOf(source_[at]) != '\0') ++at;
    at = SkipSpace(at);
    if (source_.compare(at, word.size(), word) != 0) return std::string::npos;
    at = SkipSpace(at + word.size());
    const size_t end = TagEnd(at, "%}", trims);
    // A raw block's own tag keeps the line break behind it.
    return end;
  }

  void Comment(size_t inside) {
    if (inside == source_.size()) return Advance(inside);  // as jinja2 has it
    const size_t close = source_.find("#}", inside);
    if (close == std::string::npos) Fail("found no end of this comment, expected '#}'");
    const bool has_sign = close > inside && SignOf(source_[close - 1]) != '\0';
    Advance(TagEnd(close - (has_sign ? 1 : 0), "#}", /*trims=*/true));
  }

  void Raw(size_t inside) {
    Advance(inside);
    if (at_ == source_.size()) return;
    for (size_t begin = source_.find("{%", at_);; begin = source_.find("{%", begin + 2)) {
      if (begin == std::string::npos) Fail("found no end of this raw block, expected 'endraw'");
      const size_t end = TagWithWord(begin, "endraw", /*trims=*/true);
      if (end == std::string::npos) continue;
      AddData(begin, SignOf(source_[begin + 2]), /*is_variable=*/false);
      Advance(end);
      return;
    }
  }

  void Inside(bool is_variable) {
    std::string open;  // brackets that wait for their other half
    while (true) {
      if (at_ >= source_.size()) {
        Fail(std::string("found the end of the template inside a tag, expected '") +
             (is_variable ? "}}" : "%}") + "'");
      }
      if (open.empty()) {
        const size_t end = TagEnd(at_, is_variable ? "}}" : "%}", /*trims=*/!is_variable);
        if (end != std::string::npos) {
          Add(is_variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd,
              is_variable ? "}}" : "%}");
          Advance(end);
          return;
        }
      }
      const size_t after = SkipSpace(at_);
      if (after > at_) {
        Advance(after);
      } else {
        Token(open);
      }
    }
  }

  void Token(std::string& open) {
    const char c = Peek();
    if (IsDigit(c)) return Number();
    if (StartsName(c)) {
      size_t end = at_;
      while (end < source_.size() && (StartsName(source_[end]) || IsDigit(source_[end]))) ++end;
      Add(TokenKind::kName, std::string_view(source_).substr(at_, end - at_));
      return Advance(end);
    }
    if (c == '\'' || c == '"') return String(c);
    Operator(open);
  }

  void String(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) Fail("found no end of this text, expected a second quote");
    std::string problem;
    Add(TokenKind::kString,
        ResolveEscapes(std::string_view(source_).substr(at_ + 1, end - at_ - 1), &problem));
    if (!problem.empty()) Fail(problem);
    Advance(end + 1);
  }

  // Digits with single "_" between them, from `at` on; the place behind them.
  size_t Digits(size_t at) const {
    while (at < source_.size() && IsDigit(source_[at])) {
      ++at;
      if (at + 1 < source_.size() && source_[at] == '_' && IsDigit(source_[at + 1])) ++at;
    }
    return at;
  }

  void Number() {
    size_t end = Digits(at_);
    bool is_float = false;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot && end + 1 < source_.size() && source_[end] == '.' &&
        IsDigit(source_[end + 1])) {
      is_float = true;
      end = Digits(end + 1);
    }
    if (!after_dot && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t digits = end + 1;
      if (digits < source_.size() && SignOf(source_[digits]) != '\0') ++digits;
      if (digits < source_.size() && IsDigit(source_[digits])) {
        is_float = true;
        end = Digits(digits);
      }
    }
    std::string text = source_.substr(at_, end - at_);
    if (!is_float) return Integer();
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    Add(TokenKind::kFloat, text);
    // Too large ones are infinite, as in Python.
    const auto [stop, error] =
        std::from_chars(text.data(), text.data() + text.size(), tokens_.back().number);
    if (error != std::errc()) tokens_.back().number = FloatOutOfRange(text);
    Advance(end);
  }

  void Integer() {
    int base = 10;
    size_t begin = at_, end = at_;
    const char mark = static_cast<char>(Peek(1) | 0x20);
    if (Peek() == '0' && (mark == 'x' || mark == 'o' || mark == 'b')) {
      base = mark == 'x' ? 16 : mark == 'o' ? 8 : 2;
      begin = end = at_ + 2;
      while (end < source_.size() &&
             (DigitValue(source_[end]) < base || (source_[end] == '_' && end + 1 < source_.size() &&
                                                  DigitValue(source_[end + 1]) < base))) {
        ++end;
      }
      if (begin == end) base = 10, begin = at_, end = at_ + 1;
    } else if (Peek() == '0') {
      while (end < source_.size() &&
             (source_[end] == '0' ||
              (source_[end] == '_' && end + 1 < source_.size() && source_[end + 1] == '0')))
        ++end;
    } else {
      end = Digits(at_);
    }
    std::string text = source_.substr(begin, end - begin);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    Add(TokenKind::kInteger, text);
    const auto [stop, error] =
        std::from_chars(text.data(), text.data() + text.size(), tokens_.back().integer, base);
    if (error != std::errc()) Fail("found the number " + text + ", expected one below 2^63");
    Advance(end);
  }

  void Operator(std::string& open) {
    for (const std::string_view two : {"//", "**", "==", "!=", ">=", "<="}) {
      if (!At(two)) continue;
      Add(TokenKind::kOperator, two);
      return Advance(at_ + 2);
    }
    const char c = Peek();
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      Fail("found the character " + Quote(std::string_view(source_).substr(at_, 1)) +
           ", expected an expression");
    }
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) Fail(std::string("found '") + c + "' without an opening bracket");
      if (open.back() != c) {
        Fail(std::string("found '") + c + "', expected '" + open.back() + "'");
      }
      open.pop_back();
    }
    Add(TokenKind::kOperator, std::string_view(source_).substr(at_, 1));
    Advance(at_ + 1);
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<LexerToken> tokens_;
};

}  // namespace

std::vector<LexerToken> Tokenize(std::string_view source) { return Lexer(Normalise(source)).Run(); }

}  // namespace quantspec::jinja
