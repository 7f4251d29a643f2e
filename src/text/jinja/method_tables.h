// The methods of each type, by name.
#pragma once

#include <string_view>

#include "text/jinja/filters.h"
#include "text/jinja/methods.h"

namespace quantspec::jinja {

using Method = Value (*)(Runtime& runtime, const Value& self, const Arguments& arguments);

// Null if there is none.
Method FindTextMethod(std::string_view name);
Method FindTextQuery(std::string_view name);  // of a text too: what only looks at it

}  // namespace quantspec::jinja
