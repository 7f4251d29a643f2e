// Texts of values: literals of a template, Python's repr, JSON, numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace quantspec::jinja {

// The value of a digit of any base up to 36; 99 for other characters.
int DigitValue(char c);
// What Python reads where a decimal number is beyond the range of a double: 0 or infinity.
double FloatOutOfRange(std::string_view text);
// The content of a quoted literal. `problem` says what cannot be read.
std::string ResolveEscapes(std::string_view literal, std::string* problem);
// At most 60 bytes of `text` in quotes, for messages.
std::string Quote(std::string_view text);

// repr() of a float: the shortest digits that read back as the same number.
std::string FloatText(double value);
// str() of a value.
MarkedText TextOf(const Value& value);
// repr() of a value. Throws Failure for values within themselves.
MarkedText Represent(const Value& value);

struct JsonStyle {
  bool ascii_only = false;
  bool sorted = false;
  bool has_indent = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// json.dumps(). Throws Failure for what JSON does not have.
MarkedText ToJson(const Value& value, const JsonStyle& style);

}  // namespace quantspec::jinja
