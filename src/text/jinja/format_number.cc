#include "text/jinja/format_number.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja/characters.h"
#include "text/jinja/literals.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

constexpr int64_t kLargestField = 10000;

bool IsAlign(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

std::string WholeDigits(uint64_t size, char type) {
  const unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  std::string digits;
  do {
    digits += "0123456789abcdef"[size % base];
    size /= base;
  } while (size > 0);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

// The digits of a positive number of a type that floats have.
std::string FloatDigits(double size, const FormatSpec& spec) {
  if (std::isnan(size)) return "nan";
  if (std::isinf(size)) return "inf";
  if (spec.type == '\0' && spec.precision < 0) return FloatText(size);
  const bool is_percent = spec.type == '%';
  const char type = is_percent ? 'f' : spec.type == '\0' || spec.type == 'n' ? 'g' : spec.type;
  const auto precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  const std::string pattern = std::string(spec.alternate ? "%#.*" : "%.*") + type;
  const double shown = is_percent ? size * 100 : size;
  std::string text(static_cast<size_t>(precision) + 340, '\0');
  const int length = std::snprintf(text.data(), text.size(), pattern.c_str(), precision, shown);
  text.resize(static_cast<size_t>(std::max(length, 0)));
  if (spec.type == '\0' && text.find_first_of(".e") == std::string::npos) text += ".0";
  return is_percent ? text + "%" : text;
}

void Group(std::string* digits, char mark, size_t every) {
  size_t end = digits->find_first_not_of("0123456789abcdefABCDEF");
  if (end == std::string::npos || mark == ',')
    end = std::min(digits->find_first_not_of("0123456789"), digits->size());
  for (size_t at = end; at > every;) {
    at -= every;
    digits->insert(at, 1, mark);
  }
}

MarkedText Pad(Runtime& runtime, const FormatSpec& spec, char align, std::string_view front,
               const MarkedText& body) {
  const int64_t missing =
      spec.width - static_cast<int64_t>(CountCharacters(front) + CountCharacters(body.bytes()));
  MarkedText out;
  const MarkedText fill(spec.fill, Origin::kTemplate);
  const auto add_fill = [&](int64_t count) {
    if (count > 0) out.Append(Repeat(runtime, fill, count).text());
  };
  if (align == '>') add_fill(missing);
  if (align == '^') add_fill(missing / 2);
  out.Append(front, Origin::kTemplate);
  if (align == '=') add_fill(missing);
  out.Append(body);
  if (align == '<') add_fill(missing);
  if (align == '^') add_fill(missing - missing / 2);
  return out;
}

MarkedText FormatNumber(Runtime& runtime, const Value& value, const FormatSpec& spec) {
  const bool wants_float =
      spec.type != '\0' && std::string_view("eEfFgGn%").find(spec.type) != std::string_view::npos;
  const bool is_float = value.is_float() || (wants_float && spec.type != 'n');
  if (is_float && spec.type != '\0' && !wants_float) {
    throw Failure(std::string("format: found the type '") + spec.type + "' for a float");
  }
  if (!is_float && spec.precision >= 0) throw Failure("format: found a precision for an int");
  bool is_negative = false;
  std::string digits, prefix;
  if (is_float) {
    is_negative = std::signbit(value.number()) && !std::isnan(value.number());
    digits = FloatDigits(std::fabs(value.number()), spec);
  } else {
    const int64_t whole = value.whole();
    is_negative = whole < 0;
    digits = WholeDigits(
        is_negative ? 0 - static_cast<uint64_t>(whole) : static_cast<uint64_t>(whole), spec.type);
    const bool has_prefix = spec.alternate && spec.type != '\0' &&
                            std::string_view("xXob").find(spec.type) != std::string_view::npos;
    if (has_prefix) prefix = std::string("0") + spec.type;
  }
  if (spec.type == 'X' || spec.type == 'F') {
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  }
  const bool by_four = spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b';
  if (spec.grouping != '\0') Group(&digits, spec.grouping, by_four ? 4 : 3);
  const std::string front = (is_negative        ? "-"
                             : spec.sign != '-' ? std::string(1, spec.sign)
                                                : "") +
                            prefix;
  return Pad(runtime, spec, spec.align == '\0' ? '>' : spec.align, front,
             MarkedText(digits, Origin::kTemplate));
}

}  // namespace

int64_t ReadNumber(std::string_view text, size_t* at, int64_t otherwise) {
  int64_t number = otherwise;
  for (bool is_first = true; *at < text.size() && text[*at] >= '0' && text[*at] <= '9'; ++*at) {
    number = (is_first ? 0 : number) * 10 + (text[*at] - '0');
    is_first = false;
    if (number >= kLargestField) throw Failure("format: found a width of 10000 or more");
  }
  return number;
}

FormatSpec ParseFormatSpec(std::string_view text) {
  FormatSpec spec;
  spec.is_empty = text.empty();
  size_t at = 0;
  const auto skip = [&](char c) { return at < text.size() && text[at] == c && (++at, true); };
  const std::vector<Character> all = Characters(text);
  if (all.size() > 1 && IsAlign(text[all[1].begin])) {
    spec.fill = text.substr(0, all[0].end);
    spec.align = text[all[1].begin];
    at = all[1].end;
  } else if (!text.empty() && IsAlign(text[0])) {
    spec.align = text[at++];
  }
  for (const char sign : {'+', '-', ' '}) {
    if (skip(sign)) spec.sign = sign;
  }
  spec.alternate = skip('#');
  if (skip('0') && spec.align == '\0') {
    spec.fill = "0";
    spec.align = '=';
  }
  spec.width = ReadNumber(text, &at, 0);
  for (const char mark : {',', '_'}) {
    if (skip(mark)) spec.grouping = mark;
  }
  if (skip('.')) {
    spec.precision = ReadNumber(text, &at, -1);
    if (spec.precision < 0) throw Failure("format: found '.' without digits");
  }
  if (at < text.size()) spec.type = text[at++];
  const bool is_known = spec.type == '\0' || std::string_view("sdbceEfFgGnoxX%").find(spec.type) !=
                                                 std::string_view::npos;
  if (at < text.size() || !is_known) {
    throw Failure("format: found the specification " + Quote(text) + ", expected one of Python's");
  }
  return spec;
}

MarkedText FormatValue(Runtime& runtime, const Value& value, const FormatSpec& spec) {
  const bool as_text = spec.type == 's' || spec.type == '\0';
  if (value.is_number() && !(value.is_bool() && spec.is_empty)) {
    if (spec.type == 's') throw Failure("format: found the type 's' for a number");
    if (spec.type == 'c') {
      std::string one;
      const int64_t code = WholeNumber(value, "format");
      if (code < 0 || code > 0x10FFFF) throw Failure("format: found no character of this number");
      AppendUtf8(static_cast<uint32_t>(code), &one);
      return MarkedText(one, Origin::kValue);
    }
    return FormatNumber(runtime, value, spec);
  }
  if (!as_text || spec.align == '=' || !(value.is_text() || spec.is_empty)) {
    CheckDefined(value);
    throw Failure("format: found a " + value.TypeName() + ", expected a number");
  }
  MarkedText text = TextOf(value);
  if (spec.precision >= 0) {
    text = Slice(runtime, Value(text), Value(), Value(spec.precision), Value()).text();
  }
  return Pad(runtime, spec, spec.align == '\0' ? '<' : spec.align, "", text);
}

}  // namespace quantspec::jinja
