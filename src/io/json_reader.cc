#include "io/json_reader.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "io/byte_cursor.h"

namespace quantspec {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Bytes of the character at `text`, 0 if there is none. [unicode, table 3-7]
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (text.size() < length) return 0;
  uint8_t low = 0x80, high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  for (size_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (byte(i) < low || byte(i) > high) return 0;
  }
  return length;
}

void AppendUtf8(uint32_t code, std::string* out) {
  const auto add = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6);
    add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
    add(0x80 | (code & 0x3F));
  }
}

}  // namespace

struct JsonReader::Strings {
  std::deque<std::string> all;
};

std::string_view NameOf(JsonKind kind) {
  constexpr std::string_view kNames[] = {"an object", "a list", "a string", "a number",
                                         "true",      "false",  "null"};
  return kNames[static_cast<size_t>(kind)];
}

JsonReader::JsonReader(std::string_view text, std::string file, uint64_t first_byte)
    : text_(text),
      file_(std::move(file)),
      first_byte_(first_byte),
      strings_(std::make_shared<Strings>()) {
  CheckUtf8();
}

void JsonReader::CheckUtf8() const {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  for (size_t at = 0; at < text_.size();) {
    uint64_t word = 0;
    if (text_.size() - at >= sizeof(word)) {
      std::memcpy(&word, text_.data() + at, sizeof(word));
      if ((word & kHighBits) == 0) {
        at += sizeof(word);
        continue;
      }
    }
    const size_t bytes = CharacterBytes(text_.substr(at));
    if (bytes == 0) {
      throw Error(ErrorKind::kCorrupt,
                  file_ + ": byte " + std::to_string(first_byte_ + at) + ": found \"" +
                      Printable(text_.substr(at, 4)) +
                      "\", expected UTF-8; the file is damaged: fetch it again");
    }
    at += bytes;
  }
}

std::string JsonReader::Found() const {
  if (at_ >= text_.size()) return "the end of the text";
  return "\"" + Printable(text_.substr(at_, 16)) + "\"";
}

void JsonReader::Fail(std::string_view found, std::string_view expected) const {
  std::string text = file_ + ": byte " + std::to_string(at());
  if (!subject_.empty()) text.append(", ").append(subject_);
  if (!subject_name_.empty()) text.append(" ").append(Printable(subject_name_));
  text.append(": found ").append(found).append(", expected ").append(expected);
  throw Error(ErrorKind::kCorrupt,
              text + "; the file is damaged or was written wrongly: fetch it again");
}

void JsonReader::SkipSpace() {
  while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
}

JsonKind JsonReader::Peek() {
  SkipSpace();
  const char c = at_ < text_.size() ? text_[at_] : '\0';
  switch (c) {
    case '{':
      return JsonKind::kObject;
    case '[':
      return JsonKind::kArray;
    case '"':
      return JsonKind::kString;
    case 't':
      return JsonKind::kTrue;
    case 'f':
      return JsonKind::kFalse;
    case 'n':
      return JsonKind::kNull;
    default:
      if (IsDigit(c) || c == '-') return JsonKind::kNumber;
      Fail(Found(), "a JSON value");
  }
}

void JsonReader::Expect(JsonKind kind) {
  if (Peek() != kind) Fail(Found(), NameOf(kind));
}

void JsonReader::Enter(char open) {
  if (has_member_.size() >= kMostDepth) {
    Fail("lists and objects in each other " + std::to_string(kMostDepth + 1) + " deep",
         "at most " + std::to_string(kMostDepth));
  }
  if (text_[at_] != open) Fail(Found(), std::string(1, open));
  ++at_;
  has_member_.push_back(false);
}

void JsonReader::EnterObject() {
  Expect(JsonKind::kObject);
  Enter('{');
}

void JsonReader::EnterArray() {
  Expect(JsonKind::kArray);
  Enter('[');
}

bool JsonReader::Next(char close, std::string_view expected) {
  SkipSpace();
  const char c = at_ < text_.size() ? text_[at_] : '\0';
  if (c == close) {
    ++at_;
    has_member_.pop_back();
    return false;
  }
  if (has_member_.back()) {
    if (c != ',') Fail(Found(), expected);
    ++at_;
  }
  has_member_.back() = true;
  return true;
}

bool JsonReader::NextKey(std::string_view* key) {
  if (!Next('}', "\",\" or \"}\"")) return false;
  *key = String();
  SkipSpace();
  if (at_ >= text_.size() || text_[at_] != ':') Fail(Found(), "\":\"");
  ++at_;
  return true;
}

bool JsonReader::NextElement() { return Next(']', "\",\" or \"]\""); }

std::string_view JsonReader::String() {
  Expect(JsonKind::kString);
  const size_t begin = ++at_;
  bool has_escape = false;
  const auto stop = [&](size_t at, std::string_view expected) {
    at_ = at;
    Fail(Found(), expected);
  };
  size_t at = begin;
  for (;; ++at) {
    if (at >= text_.size()) stop(at, "the end of a string");
    const auto c = static_cast<uint8_t>(text_[at]);
    if (c == '"') break;
    if (c < 0x20) stop(at, "a character that is no control character");
    if (c == '\\') {
      has_escape = true;
      if (++at >= text_.size()) stop(at, "an escape");
    }
  }
  at_ = at + 1;
  return has_escape ? Unescape(begin, at) : text_.substr(begin, at - begin);
}

std::string_view JsonReader::Unescape(size_t begin, size_t end) {
  const size_t after = at_;
  std::string& out = strings_->all.emplace_back();
  out.reserve(end - begin);
  for (size_t at = begin; at < end;) {
    const size_t escape = std::min(text_.find('\\', at), end);
    out.append(text_, at, escape - at);
    at = escape;
    at_ = at;
    if (at < end) AppendEscape(&at, &out);
  }
  at_ = after;
  return out;
}

void JsonReader::AppendEscape(size_t* at, std::string* out) {
  constexpr std::string_view kNames = "\"\\/bfnrt", kCharacters = "\"\\/\b\f\n\r\t";
  const char name = text_[*at + 1];
  *at += 2;
  if (const size_t index = kNames.find(name); index != std::string_view::npos) {
    out->push_back(kCharacters[index]);
    return;
  }
  if (name != 'u') Fail(Found(), "an escape of JSON");
  uint32_t code = Hex4(*at);
  *at += 4;
  if (code >= 0xD800 && code < 0xE000) {
    const bool is_pair = code < 0xDC00 && text_.substr(*at).starts_with("\\u");
    const uint32_t low = is_pair ? Hex4(*at + 2) : 0;
    if (low < 0xDC00 || low >= 0xE000) Fail(Found(), "a pair of surrogates");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    *at += 6;
  }
  AppendUtf8(code, out);
}

uint32_t JsonReader::Hex4(size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; ++i) {
    const char c = i < text_.size() ? text_[i] : '\0';
    const char lower = static_cast<char>(c | 0x20);
    const bool is_letter = lower >= 'a' && lower <= 'f';
    if (!IsDigit(c) && !is_letter) Fail(Found(), "four hexadecimal digits after \\u");
    value = value * 16 + static_cast<uint32_t>(IsDigit(c) ? c - '0' : lower - 'a' + 10);
  }
  return value;
}

std::string_view JsonReader::Number() {
  Expect(JsonKind::kNumber);
  const size_t begin = at_;
  const auto here = [&] { return at_ < text_.size() ? text_[at_] : '\0'; };
  const auto digits = [&] {
    if (!IsDigit(here())) Fail(Found(), "a digit");
    while (IsDigit(here())) ++at_;
  };
  if (here() == '-') ++at_;
  if (here() == '0') {
    ++at_;
  } else {
    digits();
  }
  if (here() == '.') {
    ++at_;
    digits();
  }
  if (here() == 'e' || here() == 'E') {
    ++at_;
    if (here() == '+' || here() == '-') ++at_;
    digits();
  }
  if (IsDigit(here())) Fail(Found(), "no digit after a leading 0");
  return text_.substr(begin, at_ - begin);
}

uint64_t JsonReader::Whole() {
  if (Peek() != JsonKind::kNumber) Fail(Found(), "a whole number");
  const size_t begin = at_;
  // Most have few digits and nothing else.
  constexpr size_t kSurelyFits = 18;
  uint64_t few = 0;
  size_t at = begin;
  const size_t most = std::min(text_.size(), begin + kSurelyFits);
  for (; at < most && IsDigit(text_[at]); ++at) {
    few = few * 10 + static_cast<uint64_t>(text_[at] - '0');
  }
  const bool is_whole = at < most && at > begin && text_[begin] != '0' &&
                        (text_[at] == ',' || text_[at] == ']' || text_[at] == '}');
  if (is_whole) {
    at_ = at;
    return few;
  }
  const std::string_view number = Number();
  uint64_t value = 0;
  for (const char c : number) {
    const auto digit = static_cast<uint64_t>(c - '0');
    if (!IsDigit(c) || value > (UINT64_MAX - digit) / 10) {
      at_ = begin;
      Fail("\"" + Printable(number) + "\"", "a whole number from 0 to 2^64 - 1");
    }
    value = value * 10 + digit;
  }
  return value;
}

void JsonReader::Literal(std::string_view word) {
  if (!text_.substr(at_).starts_with(word)) Fail(Found(), word);
  at_ += word.size();
}

bool JsonReader::Bool() {
  const JsonKind kind = Peek();
  if (kind != JsonKind::kTrue && kind != JsonKind::kFalse) Fail(Found(), "true or false");
  Literal(kind == JsonKind::kTrue ? "true" : "false");
  return kind == JsonKind::kTrue;
}

void JsonReader::Null() {
  Expect(JsonKind::kNull);
  Literal("null");
}

void JsonReader::Skip() {
  const size_t depth = has_member_.size();
  std::vector<char> open;  // '{' or '[' of what this call entered
  std::string_view key;
  do {
    switch (Peek()) {
      case JsonKind::kObject:
        EnterObject();
        open.push_back('{');
        break;
      case JsonKind::kArray:
        EnterArray();
        open.push_back('[');
        break;
      case JsonKind::kString:
        String();
        break;
      case JsonKind::kNumber:
        Number();
        break;
      case JsonKind::kNull:
        Null();
        break;
      default:
        Bool();
    }
    while (!open.empty() && !(open.back() == '{' ? NextKey(&key) : NextElement())) open.pop_back();
  } while (has_member_.size() > depth);
}

void JsonReader::Finish() {
  SkipSpace();
  if (at_ < text_.size()) Fail(Found(), "the end of the text");
}

}  // namespace quantspec
