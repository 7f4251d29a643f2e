// Numbers and texts laid out as Python's format specifications say.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace quantspec::jinja {

struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // '<', '>', '^' or '='; none: as the type does
  char sign = '-';    // '-', '+' or ' '
  bool alternate = false;
  char grouping = '\0';  // ',' or '_'
  int64_t width = 0;
  int64_t precision = -1;  // -1: none
  char type = '\0';
  bool is_empty = false;  // nothing was said at all
};

// Of "{:...}". Throws Failure.
FormatSpec ParseFormatSpec(std::string_view text);
MarkedText FormatValue(Runtime& runtime, const Value& value, const FormatSpec& spec);
// A number below 10,000 at `at`, which moves behind it; `otherwise` without digits.
int64_t ReadNumber(std::string_view text, size_t* at, int64_t otherwise);

}  // namespace quantspec::jinja
