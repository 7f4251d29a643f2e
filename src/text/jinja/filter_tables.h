// The filters, by name, in groups.
#pragma once

#include <string_view>

#include "text/jinja/filters.h"

namespace quantspec::jinja {

using Filter = Value (*)(Runtime& runtime, const Value& value, const Arguments& arguments);

// Null if there is none.
Filter FindTextFilter(std::string_view name);
Filter FindListFilter(std::string_view name);
Filter FindOrderFilter(std::string_view name);

// value.a.0.b for "a.0.b"; undefined parts become `otherwise` if there is one.
Value AttributePath(Runtime& runtime, const Value& value, const Value& path,
                    const Value* otherwise);

}  // namespace quantspec::jinja
