// Filters, tests and the formatting of texts.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace quantspec::jinja {

bool HasFilter(std::string_view name);
bool HasTest(std::string_view name);
// Throw Failure for unknown names, wrong arguments and values that they do not take.
Value ApplyFilter(Runtime& runtime, std::string_view name, const Value& value,
                  const Arguments& arguments);
bool ApplyTest(Runtime& runtime, std::string_view name, const Value& value,
               const Arguments& arguments);

// The named functions that every template has; undefined for other names.
Value FindGlobal(Runtime& runtime, std::string_view name);

MarkedText EscapeMarkup(const MarkedText& text);
// text % arguments
Value FormatPercent(Runtime& runtime, const MarkedText& text, const Value& arguments);
// text.format(arguments)
Value FormatBraces(Runtime& runtime, const MarkedText& text, const Arguments& arguments);

// Arguments of a function as its parameters: positional ones first, then by name.
class Bound {
 public:
  // Throws Failure for arguments that `parameters` do not have.
  Bound(std::string_view function, const Arguments& arguments,
        std::initializer_list<const char*> parameters);

  // Null if it is not given.
  const Value* operator[](size_t parameter) const { return values_[parameter]; }
  const Value& Need(size_t parameter) const;
  // A whole number, or `otherwise` where it is not given.
  int64_t Whole(size_t parameter, int64_t otherwise) const;
  bool Flag(size_t parameter, bool otherwise) const;
  // A text; Failure for other values.
  const MarkedText* Text(size_t parameter) const;

 private:
  std::string function_;
  std::vector<const char*> names_;
  std::vector<const Value*> values_;
};

}  // namespace quantspec::jinja
