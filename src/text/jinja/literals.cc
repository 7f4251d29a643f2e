#include "text/jinja/literals.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja/characters.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

// Of a value that is shown as a text: elements and 16 bytes of text.
constexpr int64_t kMostShown = int64_t{1} << 24;

void CheckExtent(const Value& value) {
  if (value.extent().weight <= kMostShown) return;
  throw Failure("found a value with too many parts to be shown as a text");
}

constexpr std::string_view kHexDigits = "0123456789abcdef";

void AppendHex(uint32_t code, int digits, std::string* text) {
  for (int i = digits - 1; i >= 0; --i) *text += kHexDigits[code >> (4 * i) & 0xF];
}

// Reads an escape behind the backslash at `at`; returns the place behind it.
size_t ResolveEscape(std::string_view literal, size_t at, std::string* text, std::string* problem) {
  const char c = literal[at];
  const size_t simple = std::string_view("\\'\"abfnrtv").find(c);
  if (simple != std::string_view::npos) {
    *text += "\\'\"\a\b\f\n\r\t\v"[simple];
    return at + 1;
  }
  if (c == '\n') return at + 1;
  uint32_t code = 0;
  if (c >= '0' && c <= '7') {
    size_t end = at;
    while (end < at + 3 && end < literal.size() && literal[end] >= '0' && literal[end] <= '7') {
      code = code * 8 + static_cast<uint32_t>(literal[end++] - '0');
    }
    AppendUtf8(code, text);
    return end;
  }
  const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits == 0 && c != 'N') {
    *text += '\\';
    return at;  // Python keeps escapes that it does not know
  }
  for (size_t i = 1; i <= digits; ++i) {
    const int digit = at + i < literal.size() ? DigitValue(literal[at + i]) : 99;
    if (digit >= 16) code = 0x110000;
    code = std::min(code * 16 + static_cast<uint32_t>(digit & 15), uint32_t{0x110000});
  }
  if (c == 'N' || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    *problem = "found the escape " + Quote(literal.substr(at - 1, digits + 2)) +
               ", expected the digits of a character";
    return literal.size();
  }
  AppendUtf8(code, text);
  return at + 1 + digits;
}

void RepresentText(const MarkedText& text, MarkedText* out) {
  const std::string& bytes = text.bytes();
  const bool has_single = bytes.find('\'') != std::string::npos;
  const char quote = has_single && bytes.find('"') == std::string::npos ? '"' : '\'';
  out->Append({&quote, 1}, Origin::kValue);
  for (const auto& [begin, end, code] : Characters(bytes)) {
    std::string escaped;
    if (code == static_cast<uint32_t>(quote) || code == '\\') {
      escaped = std::string("\\") + static_cast<char>(code);
    } else if (code == '\n' || code == '\r' || code == '\t') {
      escaped = std::string("\\") + (code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
    } else if (!IsPrintable(code)) {
      const int digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
      escaped = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
      AppendHex(code, digits, &escaped);
    }
    if (escaped.empty()) {
      out->AppendSlice(text, begin, end);
    } else {
      out->Append(escaped, text.OriginOf(begin, end));
    }
  }
  out->Append({&quote, 1}, Origin::kValue);
}

// `in_namespace`: a namespace may hold itself, so none is shown within another.
void RepresentTo(const Value& value, bool in_namespace, MarkedText* out);

template <typename Items, typename Add>
void RepresentItems(const Items& items, const char* open, const char* close, const Add& add,
                    MarkedText* out) {
  out->Append(open, Origin::kValue);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out->Append(", ", Origin::kValue);
    add(items[i]);
  }
  out->Append(close, Origin::kValue);
}

void RepresentPair(const std::pair<Value, Value>& item, bool in_namespace, MarkedText* out) {
  RepresentTo(item.first, in_namespace, out);
  out->Append(": ", Origin::kValue);
  RepresentTo(item.second, in_namespace, out);
}

void RepresentRange(const List& list, MarkedText* out) {
  const size_t count = list.items.size();
  const int64_t first = count > 0 ? list.items[0].whole() : 0;
  const int64_t step = count > 1 ? list.items[1].whole() - first : 1;
  const int64_t stop = first + static_cast<int64_t>(count) * step;
  out->Append("range(" + std::to_string(first) + ", " + std::to_string(stop) +
                  (step != 1 ? ", " + std::to_string(step) : "") + ")",
              Origin::kValue);
}

void RepresentList(const List& list, bool in_namespace, MarkedText* out) {
  const auto add = [&](const Value& item) { RepresentTo(item, in_namespace, out); };
  switch (list.kind) {
    case ListKind::kList:
      return RepresentItems(list.items, "[", "]", add, out);
    case ListKind::kTuple:
      return RepresentItems(list.items, "(", list.items.size() == 1 ? ",)" : ")", add, out);
    case ListKind::kRange:
      return RepresentRange(list, out);
    case ListKind::kGenerator:
      return out->Append("<generator object>", Origin::kValue);
    default: {
      const std::string open = MakeList({}, list.kind).TypeName() + "([";
      return RepresentItems(list.items, open.c_str(), "])", add, out);
    }
  }
}

void RepresentTo(const Value& value, bool in_namespace, MarkedText* out) {
  if (value.is_text()) {
    if (value.text().is_markup()) out->Append("Markup(", Origin::kValue);
    RepresentText(value.text(), out);
    if (value.text().is_markup()) out->Append(")", Origin::kValue);
  } else if (const List* list = value.list()) {
    RepresentList(*list, in_namespace, out);
  } else if (const Dict* dict = value.dict()) {
    RepresentItems(
        dict->items, "{", "}", [&](const auto& item) { RepresentPair(item, in_namespace, out); },
        out);
  } else if (const auto* space = dynamic_cast<Namespace*>(value.object())) {
    if (in_namespace) throw Failure("found a namespace within another to be shown as a text");
    for (const auto& [name, one] : space->values()) CheckExtent(one);
    const auto add = [&](const std::pair<std::string, Value>& item) {
      RepresentPair({Value(item.first, Origin::kTemplate), item.second}, true, out);
    };
    RepresentItems(space->values(), "<Namespace {", "}>", add, out);
  } else if (value.is_undefined()) {
    out->Append("Undefined", Origin::kValue);
  } else if (value.object() != nullptr) {
    out->Append("<" + value.TypeName() + ">", Origin::kValue);
  } else {
    out->Append(value.is_none()    ? "None"
                : value.is_bool()  ? (value.boolean() ? "True" : "False")
                : value.is_float() ? FloatText(value.number())
                                   : std::to_string(value.whole()),
                Origin::kTemplate);
  }
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  void Add(const Value& value, int depth) {
    if (value.is_text()) {
      AddText(value.text());
    } else if (value.is_none() || value.is_number()) {
      Put(Scalar(value));
    } else if (const Dict* dict = value.dict()) {
      AddDict(*dict, depth);
    } else if (const List* list = value.list(); list != nullptr && list->kind <= ListKind::kTuple) {
      AddItems(list->items, '[', ']', depth, [&](const Value& item) { Add(item, depth + 1); });
    } else {
      throw Failure("tojson: found a value of type " + value.TypeName() +
                    ", expected what JSON has" +
                    (value.is_undefined() ? ": " + value.undefined()->reason : ""));
    }
  }
  MarkedText Take() { return std::move(out_); }

 private:
  void Put(std::string_view text) { out_.Append(text, Origin::kValue); }

  static std::string Scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (value.is_bool()) return value.boolean() ? "true" : "false";
    if (value.is_integer()) return std::to_string(value.whole());
    const double number = value.number();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return FloatText(number);
  }

  void AddText(const MarkedText& text) {
    Put("\"");
    for (const auto& [begin, end, code] : Characters(text.bytes())) {
      const std::string escaped = Escape(code, end - begin);
      if (escaped.empty()) {
        out_.AppendSlice(text, begin, end);
      } else {
        out_.Append(escaped, text.OriginOf(begin, end));
      }
    }
    Put("\"");
  }

  // Empty for characters that stay as they are.
  std::string Escape(uint32_t code, size_t bytes) const {
    const size_t named = std::string_view("\"\\\n\r\t\f\b").find(static_cast<char>(code));
    if (code < 0x80 && named != std::string_view::npos) {
      return std::string("\\") + "\"\\nrtfb"[named];
    }
    const bool is_broken = bytes == 1 && code == 0xFFFD;
    if (code >= 0x20 && (code < 0x7F || !style_.ascii_only || is_broken)) return "";
    std::string text;
    const auto unit = [&](uint32_t half) {
      text += "\\u";
      AppendHex(half, 4, &text);
    };
    if (code >= 0x10000) {
      unit(0xD800 + ((code - 0x10000) >> 10));
      unit(0xDC00 + (code & 0x3FF));
    } else {
      unit(code);
    }
    return text;
  }

  void Break(int depth) {
    if (!style_.has_indent) return;
    Put("\n");
    for (int i = 0; i < depth; ++i) Put(style_.indent);
  }

  template <typename Items, typename AddOne>
  void AddItems(const Items& items, char open, char close, int depth, const AddOne& add) {
    Put({&open, 1});
    bool is_first = true;
    for (const auto& item : items) {
      if (!is_first) Put(style_.item_separator);
      is_first = false;
      Break(depth + 1);
      add(item);
    }
    if (!is_first) Break(depth);
    Put({&close, 1});
  }

  void AddDict(const Dict& dict, int depth) {
    auto items = dict.items;
    if (style_.sorted) {
      std::stable_sort(items.begin(), items.end(),
                       [](const auto& a, const auto& b) { return Less(a.first, b.first); });
    }
    AddItems(items, '{', '}', depth, [&](const std::pair<Value, Value>& item) {
      const Value& key = item.first;
      if (key.is_text()) {
        AddText(key.text());
      } else if (key.is_none() || key.is_number()) {
        Put("\"" + Scalar(key) + "\"");
      } else {
        throw Failure("tojson: found a key of type " + key.TypeName() + ", expected a text");
      }
      Put(style_.key_separator);
      Add(item.second, depth + 1);
    });
  }

  const JsonStyle& style_;
  MarkedText out_;
};

}  // namespace

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

double FloatOutOfRange(std::string_view text) {
  const size_t exponent = text.find_first_of("eE");
  const bool is_small = exponent != std::string_view::npos && text.substr(exponent + 1, 1) == "-";
  return is_small ? 0 : std::numeric_limits<double>::infinity();
}

std::string ResolveEscapes(std::string_view literal, std::string* problem) {
  std::string text;
  for (size_t at = 0; at < literal.size();) {
    if (literal[at] == '\\' && at + 1 < literal.size()) {
      at = ResolveEscape(literal, at + 1, &text, problem);
    } else {
      text += literal[at++];
    }
  }
  return text;
}

std::string Quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text.substr(0, 60)) quoted += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  return quoted + (text.size() > 60 ? "...'" : "'");
}

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[400];
  const double size = std::fabs(value);
  const bool is_plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto format = is_plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value, format);
  std::string text(buffer, end);
  if (is_plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

MarkedText TextOf(const Value& value) {
  if (value.is_text()) return value.text();
  if (value.is_undefined()) return {};
  return Represent(value);
}

MarkedText Represent(const Value& value) {
  CheckExtent(value);
  MarkedText text;
  RepresentTo(value, false, &text);
  return text;
}

MarkedText ToJson(const Value& value, const JsonStyle& style) {
  CheckExtent(value);
  JsonWriter writer(style);
  writer.Add(value, 0);
  return writer.Take();
}

}  // namespace quantspec::jinja
