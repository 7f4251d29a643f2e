#include "text/jinja/filters.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {

Bound::Bound(std::string_view function, const Arguments& arguments,
             std::initializer_list<const char*> parameters)
    : function_(function), names_(parameters), values_(parameters.size(), nullptr) {
  if (arguments.positional.size() > names_.size()) {
    throw Failure(function_ + ": found " + std::to_string(arguments.positional.size()) +
                  " arguments, expected at most " + std::to_string(names_.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    size_t i = 0;
    while (i < names_.size() && names_[i] != name) ++i;
    if (i == names_.size()) {
      throw Failure(function_ + ": found an argument '" + name.substr(0, 60) +
                    "', which it does not take");
    }
    if (values_[i] != nullptr) {
      throw Failure(function_ + ": found the argument '" + name + "' twice, expected it once");
    }
    values_[i] = &value;
  }
}

const Value& Bound::Need(size_t parameter) const {
  if (values_[parameter] != nullptr) return *values_[parameter];
  throw Failure(function_ + ": found no argument '" + names_[parameter] + "', expected one");
}

int64_t Bound::Whole(size_t parameter, int64_t otherwise) const {
  const Value* value = values_[parameter];
  return value == nullptr ? otherwise : WholeNumber(*value, function_.c_str());
}

bool Bound::Flag(size_t parameter, bool otherwise) const {
  return values_[parameter] == nullptr ? otherwise : Truth(*values_[parameter]);
}

const MarkedText* Bound::Text(size_t parameter) const {
  const Value* value = values_[parameter];
  if (value == nullptr) return nullptr;
  CheckDefined(*value);
  if (!value->is_text()) {
    throw Failure(function_ + ": found a " + value->TypeName() + " as '" + names_[parameter] +
                  "', expected a text");
  }
  return &value->text();
}

}  // namespace quantspec::jinja
