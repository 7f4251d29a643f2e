// Methods of texts, dicts, lists and numbers.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace quantspec::jinja {

bool HasMethod(const Value& value, std::string_view name);
// True for methods that Python has and templates may not use, as they change the value.
bool IsForbidden(const Value& value, std::string_view name);
// value.name(arguments), for a method that there is.
Value CallMethod(Runtime& runtime, const Value& value, std::string_view name,
                 const Arguments& arguments);

// str.strip and its like; `characters` null: white space.
MarkedText Strip(const MarkedText& text, const MarkedText* characters, bool left, bool right);
// str.replace; `count` below 0: all.
Value Replace(Runtime& runtime, const MarkedText& text, const MarkedText& from,
              const MarkedText& to, int64_t count);
// str.splitlines
Values SplitLines(Runtime& runtime, const MarkedText& text, bool keeps_ends);
// The texts of `parts`, `separator` between them.
Value JoinParts(Runtime& runtime, const Values& parts, const MarkedText& separator);

class BoundMethod : public Object {
 public:
  BoundMethod(Value value, std::string name) : value_(std::move(value)), name_(std::move(name)) {}
  std::string TypeName() const override { return "builtin_function_or_method"; }
  Value Call(Runtime& runtime, const Arguments& arguments) override {
    return CallMethod(runtime, value_, name_, arguments);
  }

 private:
  Value value_;
  std::string name_;
};

}  // namespace quantspec::jinja
