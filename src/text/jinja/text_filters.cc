// Filters that make texts or numbers.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "text/jinja/characters.h"
#include "text/jinja/filter_tables.h"
#include "text/jinja/literals.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

Value String(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  return value.is_text() ? value : runtime.Text(TextOf(value));
}

template <MarkedText (*Change)(const MarkedText&)>
Value Changed(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("a filter that changes letters", arguments, {});
  return runtime.Text(Change(TextOf(value)));
}
MarkedText Lower(const MarkedText& text) { return ToCase(text, Case::kLower); }
MarkedText Upper(const MarkedText& text) { return ToCase(text, Case::kUpper); }
MarkedText Capital(const MarkedText& text) { return Capitalise(text); }
// Unlike str.title, words begin behind spaces and brackets only.
MarkedText Title(const MarkedText& text) {
  MarkedText out;
  const std::vector<Character> all = Characters(text.bytes());
  const auto splits = [](const Character& one) {
    return IsSpaceCode(one.code) ||
           (one.code < 0x80 &&
            std::string_view("-({[<").find(static_cast<char>(one.code)) != std::string_view::npos);
  };
  for (size_t i = 0; i < all.size();) {
    size_t end = i + 1;
    while (end < all.size() && splits(all[end]) == splits(all[i])) ++end;
    out.Append(Capitalise(text.Slice(all[i].begin, all[end - 1].end), Case::kUpper));
    i = end;
  }
  return out;
}

Value Trim(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const bool has_set = bound[0] != nullptr && !bound[0]->is_none();
  return Value(Strip(TextOf(value), has_set ? bound.Text(0) : nullptr, true, true));
}

Value ReplaceIn(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  const bool has_count = bound[2] != nullptr && !bound[2]->is_none();
  return Replace(runtime, TextOf(value), TextOf(bound.Need(0)), TextOf(bound.Need(1)),
                 has_count ? bound.Whole(2, -1) : -1);
}

Value Indent(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  MarkedText space(std::string(4, ' '), Origin::kTemplate);
  if (bound[0] != nullptr) {
    space = bound[0]->is_text()
                ? *bound.Text(0)
                : Repeat(runtime, MarkedText(" ", Origin::kTemplate), bound.Whole(0, 4)).text();
  }
  CheckDefined(value);
  if (!value.is_text()) throw Failure("indent: found a " + value.TypeName() + ", expected a text");
  MarkedText text = value.text();
  text.Append("\n", Origin::kTemplate);
  const Values lines = SplitLines(runtime, text, false);
  const bool with_blank = bound.Flag(2, false);
  MarkedText out;
  if (bound.Flag(1, false)) out.Append(space);
  for (size_t i = 0; i < lines.size(); ++i) {
    const MarkedText& line = lines[i].text();
    runtime.Bytes(line.size() + space.size());
    if (i > 0) {
      out.Append("\n", Origin::kTemplate);
      if (with_blank || !line.empty()) out.Append(space);
    }
    out.Append(line);
  }
  return Value(std::move(out));
}

Value Escape(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("escape", arguments, {});
  if (value.is_text() && value.text().is_markup()) return value;
  return runtime.Text(EscapeMarkup(TextOf(value)));
}

Value Safe(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("safe", arguments, {});
  MarkedText text = TextOf(value);
  text.set_markup(true);
  return Value(std::move(text));
}

Value Json(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii_only = bound.Flag(0, false);
  style.sorted = bound.Flag(3, false);
  if (bound[1] != nullptr && !bound[1]->is_none()) {
    style.has_indent = true;
    style.item_separator = ",";
    const int64_t width = bound[1]->is_text() ? 0 : std::clamp<int64_t>(bound.Whole(1, 0), 0, 1000);
    style.indent =
        bound[1]->is_text() ? bound[1]->bytes() : std::string(static_cast<size_t>(width), ' ');
  }
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    const Values parts = Elements(runtime, *bound[2]);
    if (parts.size() != 2 || !parts[0].is_text() || !parts[1].is_text()) {
      throw Failure("tojson: found other separators than two texts");
    }
    style.item_separator = parts[0].bytes();
    style.key_separator = parts[1].bytes();
  }
  return runtime.Text(ToJson(value, style));
}

Value Format(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    throw Failure("format: found values with and without names, expected one kind");
  }
  if (arguments.named.empty()) {
    return FormatPercent(runtime, TextOf(value), MakeList(arguments.positional, ListKind::kTuple));
  }
  const auto dict = std::make_shared<Dict>();
  for (const auto& [name, one] : arguments.named) dict->Set(Value(name, Origin::kTemplate), one);
  return FormatPercent(runtime, TextOf(value), Value(dict));
}

Value Center(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  return CallMethod(runtime, Value(TextOf(value)), "center", {{Value(bound.Whole(0, 80))}, {}});
}

Value Truncate(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const int64_t length = std::max<int64_t>(bound.Whole(0, 255), -1);  // all below 0 are alike
  const int64_t leeway = bound[3] == nullptr || bound[3]->is_none() ? 5 : bound.Whole(3, 5);
  const MarkedText dots("...", Origin::kTemplate);
  const MarkedText& end = bound[2] == nullptr ? dots : *bound.Text(2);
  const Value text(TextOf(value));
  const int64_t room = length - static_cast<int64_t>(CountCharacters(end.bytes()));
  if (room < 0 || leeway < 0) throw Failure("truncate: found a length below that of its end");
  if (Length(text) - length <= leeway) return text;
  MarkedText cut = Slice(runtime, text, Value(), Value(room), Value()).text();
  if (!bound.Flag(1, false)) {
    const size_t space = cut.bytes().rfind(' ');
    if (space != std::string::npos) cut = cut.Slice(0, space);
  }
  cut.Append(end);
  return runtime.Text(std::move(cut));
}

Value CountWords(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("wordcount", arguments, {});
  int64_t count = 0;
  bool in_word = false;
  for (const Character& one : Characters(TextOf(value).bytes())) {
    const bool is_word = IsAlphanumeric(one.code) || one.code == '_';
    count += is_word && !in_word ? 1 : 0;
    in_word = is_word;
  }
  return Value(count);
}

Value UrlEncode(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("urlencode", arguments, {});
  if (value.dict() != nullptr || value.list() != nullptr) {
    throw Failure("urlencode: found a " + value.TypeName() + ", expected a text");
  }
  const MarkedText text = TextOf(value);
  std::string out;
  for (const char c : text.bytes()) {
    const bool is_letter =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_letter || (c != '\0' && std::strchr("_.-~/", c) != nullptr)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
    }
  }
  return runtime.Text(MarkedText(out, text.origin()));
}

// A number as Python's int() and float() read it from a text; false for others.
template <typename Number>
bool ReadText(std::string text, int base, Number* number) {
  const std::string_view whole = text;
  const size_t begin = SpacePrefix(whole);
  text = std::string(StripRight(whole.substr(begin)));
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  const bool is_negative = has_sign && text[0] == '-';
  if (has_sign) text.erase(0, 1);
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_inside = i > 0 && i + 1 < text.size() && DigitValue(text[i - 1]) < 36 &&
                           DigitValue(text[i + 1]) < 36;
    if (text[i] == '_' && is_inside) text.erase(i, 1);
  }
  if (text.empty() || text[0] == '-' || text[0] == '+') return false;
  std::from_chars_result result{};
  if constexpr (std::is_same_v<Number, int64_t>) {
    const char mark = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : '\0';
    if (mark != '\0' && text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == mark)
      text.erase(0, 2);
    if (is_negative) text.insert(0, "-");
    result = std::from_chars(text.data(), text.data() + text.size(), *number, base);
  } else {
    if (is_negative) text.insert(0, "-");
    result = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (result.ec == std::errc::result_out_of_range) {
      *number = std::copysign(FloatOutOfRange(text), is_negative ? -1.0 : 1.0);
      result.ec = {};
    }
  }
  if (result.ec == std::errc::result_out_of_range)
    throw Failure("found the number " + Quote(text) + ", expected one below 2^63");
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

Value ToInteger(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  const int64_t base = bound.Whole(1, 10);
  if (base < 2 || base > 36) throw Failure("int: found a base outside 2 to 36");
  CheckDefined(value);
  double number = 0;
  int64_t whole = 0;
  if (value.is_whole()) return Value(value.whole());
  if (value.is_text() && ReadText(value.bytes(), static_cast<int>(base), &whole))
    return Value(whole);
  const bool is_number = value.is_float() ? (number = value.number(), true)
                                          : value.is_text() && ReadText(value.bytes(), 10, &number);
  if (is_number && std::isfinite(number)) {
    if (std::fabs(number) >= 9.2e18) throw Failure("int: found a number beyond 64 bits");
    return Value(static_cast<int64_t>(number));
  }
  if (is_number && std::isinf(number)) throw Failure("int: found an infinite number");
  return bound[0] == nullptr ? Value(int64_t{0}) : *bound[0];
}

Value ToFloat(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  CheckDefined(value);
  double number = 0;
  if (value.is_number()) return Value(value.number());
  if (value.is_text() && ReadText(value.bytes(), 10, &number)) return Value(number);
  return bound[0] == nullptr ? Value(0.0) : *bound[0];
}

constexpr std::pair<std::string_view, Filter> kFilters[] = {
    {"string", String},
    {"lower", Changed<Lower>},
    {"upper", Changed<Upper>},
    {"title", Changed<Title>},
    {"capitalize", Changed<Capital>},
    {"trim", Trim},
    {"replace", ReplaceIn},
    {"indent", Indent},
    {"escape", Escape},
    {"e", Escape},
    {"safe", Safe},
    {"tojson", Json},
    {"format", Format},
    {"center", Center},
    {"truncate", Truncate},
    {"wordcount", CountWords},
    {"urlencode", UrlEncode},
    {"int", ToInteger},
    {"float", ToFloat},
};

}  // namespace

MarkedText EscapeMarkup(const MarkedText& text) {
  MarkedText out;
  const std::string& bytes = text.bytes();
  for (size_t at = 0; at < bytes.size();) {
    const size_t mark = std::min(bytes.find_first_of("&<>\"'", at), bytes.size());
    out.AppendSlice(text, at, mark);
    if (mark == bytes.size()) break;
    const char c = bytes[mark];
    out.Append(c == '&'   ? "&amp;"
               : c == '<' ? "&lt;"
               : c == '>' ? "&gt;"
               : c == '"' ? "&#34;"
                          : "&#39;",
               text.OriginOf(mark, mark + 1));
    at = mark + 1;
  }
  out.set_markup(true);
  return out;
}

Filter FindTextFilter(std::string_view name) {
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter;
  }
  return nullptr;
}

}  // namespace quantspec::jinja
