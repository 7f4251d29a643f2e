// What Python's operators and subscripts do with values. All throw Failure where Python raises.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace quantspec::jinja {

bool Truth(const Value& value);
bool Equal(const Value& a, const Value& b);
// a < b; Failure for values that have no order.
bool Less(const Value& a, const Value& b);
void CheckHashable(const Value& value);
// Failure with the reason why `value` does not exist, if it does not.
void CheckDefined(const Value& value);

// `name` is "+", "-", "*", "/", "//", "%" or "**".
Value Calculate(Runtime& runtime, std::string_view name, const Value& a, const Value& b);
Value Negate(const Value& value);
// `name` is "==", "!=", "<", "<=", ">", ">=", "in" or "not in".
bool Compare(Runtime& runtime, std::string_view name, const Value& a, const Value& b);

// The elements of what can be walked over: lists, keys of a dict, characters. A generator is read.
Values Elements(Runtime& runtime, const Value& value);
// len()
int64_t Length(const Value& value);
// A whole number; `what` begins the message for others.
int64_t WholeNumber(const Value& value, const char* what);

// value[key]; without it the attribute of that name; undefined without either.
Value GetItem(Runtime& runtime, const Value& value, const Value& key);
// value.name: the attribute first, then the item.
Value GetAttribute(Runtime& runtime, const Value& value, const std::string& name);
// value[begin:end:step]; None where there is no number.
Value Slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
            const Value& step);
// `text`, `count` times.
Value Repeat(Runtime& runtime, const MarkedText& text, int64_t count);

}  // namespace quantspec::jinja
