// Filters over lists and dicts, and those of any value.

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "text/jinja/filter_tables.h"
#include "text/jinja/format_number.h"
#include "text/jinja/literals.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

Value Default(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  if (!value.is_undefined() && !(bound.Flag(1, false) && !Truth(value))) return value;
  return bound[0] == nullptr ? Value(MarkedText{}) : *bound[0];
}

Value Count(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("length", arguments, {});
  return Value(Length(value));
}

Value ToList(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("list", arguments, {});
  return runtime.Items(Elements(runtime, value));
}

Value Items(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  if (value.is_undefined()) return MakeList({}, ListKind::kGenerator);
  if (value.dict() == nullptr) {
    throw Failure("items: found a " + value.TypeName() + ", expected a dict");
  }
  Values items;
  for (const auto& [key, one] : value.dict()->items) {
    items.push_back(MakeList({key, one}, ListKind::kTuple));
  }
  return runtime.Items(std::move(items), ListKind::kGenerator);
}

Value First(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("first", arguments, {});
  const Values all = Elements(runtime, value);
  return all.empty() ? Value::MakeUndefined("found no first element, the sequence is empty")
                     : all.front();
}

bool IsReversible(const Value& value) {
  return value.list() == nullptr || value.list()->kind != ListKind::kGenerator;
}

Value Last(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("last", arguments, {});
  if (!IsReversible(value)) throw Failure("last: found a generator, expected a list");
  const Values all = Elements(runtime, value);
  return all.empty() ? Value::MakeUndefined("found no last element, the sequence is empty")
                     : all.back();
}

Value Reverse(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("reverse", arguments, {});
  Values all = Elements(runtime, value);
  std::reverse(all.begin(), all.end());
  if (value.is_text()) return JoinParts(runtime, all, MarkedText{});
  return runtime.Items(std::move(all),
                       IsReversible(value) ? ListKind::kGenerator : ListKind::kList);
}

Value Join(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  Values parts = Elements(runtime, value);
  for (Value& part : parts) {
    if (bound[1] != nullptr && !bound[1]->is_none()) {
      part = AttributePath(runtime, part, *bound[1], nullptr);
    }
    part = runtime.Text(TextOf(part));
  }
  return JoinParts(runtime, parts, bound[0] == nullptr ? MarkedText{} : TextOf(*bound[0]));
}

Value Attribute(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"});
  const std::string name = TextOf(bound.Need(0)).bytes();
  if (value.dict() != nullptr && !HasMethod(value, name)) {
    return Value::MakeUndefined("found no attribute '" + name.substr(0, 60) + "' of a dict");
  }
  return GetAttribute(runtime, value, name);
}

Value Map(Runtime& runtime, const Value& value, const Arguments& arguments) {
  Values out;
  if (!Truth(value)) return MakeList({}, ListKind::kGenerator);
  if (arguments.positional.empty()) {
    const Bound bound("map", arguments, {"attribute", "default"});
    bound.Need(0);
    for (const Value& one : Elements(runtime, value)) {
      out.push_back(AttributePath(runtime, one, *bound[0], bound[1]));
    }
    return runtime.Items(std::move(out), ListKind::kGenerator);
  }
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  const Value& name = arguments.positional[0];
  if (!name.is_text()) throw Failure("map: found no name of a filter, expected one");
  for (const Value& one : Elements(runtime, value)) {
    out.push_back(ApplyFilter(runtime, name.bytes(), one, rest));
  }
  return runtime.Items(std::move(out), ListKind::kGenerator);
}

// select and its like: elements, or those whose attribute, of which a test holds, or truth.
Value Choose(Runtime& runtime, const char* filter, const Value& value, const Arguments& arguments,
             bool by_attribute, bool wanted) {
  if (!Truth(value)) return MakeList({}, ListKind::kGenerator);
  Arguments rest = arguments;
  const auto take = [&] {
    Value first = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
    return first;
  };
  if (by_attribute && rest.positional.empty()) {
    throw Failure(std::string(filter) + ": found no attribute, expected one");
  }
  const Value path = by_attribute ? take() : Value();
  const bool has_test = !rest.positional.empty();
  const Value test = has_test ? take() : Value();
  if (has_test && !test.is_text()) throw Failure(std::string(filter) + ": found no name of a test");
  Values out;
  for (const Value& one : Elements(runtime, value)) {
    const Value tested = by_attribute ? AttributePath(runtime, one, path, nullptr) : one;
    const bool holds = has_test ? ApplyTest(runtime, test.bytes(), tested, rest) : Truth(tested);
    if (holds == wanted) out.push_back(one);
  }
  return runtime.Items(std::move(out), ListKind::kGenerator);
}

Value Select(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return Choose(runtime, "select", value, arguments, false, true);
}
Value Reject(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return Choose(runtime, "reject", value, arguments, false, false);
}
Value SelectByAttribute(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return Choose(runtime, "selectattr", value, arguments, true, true);
}
Value RejectByAttribute(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return Choose(runtime, "rejectattr", value, arguments, true, false);
}

Value Batch(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"});
  bound.Need(0);
  const int64_t size = bound.Whole(0, 0);
  if (size < 1) throw Failure("batch: found a size below 1");
  Values batches;
  Values open;
  const auto close = [&] {
    batches.push_back(runtime.Items(std::move(open)));
    open = {};
  };
  for (const Value& one : Elements(runtime, value)) {
    if (static_cast<int64_t>(open.size()) == size) close();
    open.push_back(one);
  }
  if (!open.empty()) {
    while (bound[1] != nullptr && !bound[1]->is_none() &&
           static_cast<int64_t>(open.size()) < size) {
      runtime.Step();
      open.push_back(*bound[1]);
    }
    close();
  }
  return runtime.Items(std::move(batches), ListKind::kGenerator);
}

Value Sum(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value sum = bound[1] == nullptr ? Value(int64_t{0}) : *bound[1];
  if (sum.is_text()) throw Failure("sum: found a text, expected numbers");
  for (const Value& one : Elements(runtime, value)) {
    const bool by_attribute = bound[0] != nullptr && !bound[0]->is_none();
    sum = Calculate(runtime, "+", sum,
                    by_attribute ? AttributePath(runtime, one, *bound[0], nullptr) : one);
  }
  return sum;
}

Value Absolute(Runtime&, const Value& value, const Arguments& arguments) {
  const Bound bound("abs", arguments, {});
  CheckDefined(value);
  if (!value.is_number()) throw Failure("abs: found a " + value.TypeName() + ", expected a number");
  if (value.is_float()) return Value(std::fabs(value.number()));
  return value.whole() < 0 ? Negate(value) : Value(value.whole());
}

Value Round(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t precision = bound.Whole(0, 0);
  const std::string method = bound[1] == nullptr ? "common" : bound.Text(1)->bytes();
  CheckDefined(value);
  if (!value.is_number())
    throw Failure("round: found a " + value.TypeName() + ", expected a number");
  if (precision < -300 || precision > 300) throw Failure("round: found a precision beyond 300");
  if (method == "ceil" || method == "floor") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = value.number() * scale;
    return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (method != "common") throw Failure("round: found a method other than common, ceil and floor");
  if (value.is_whole() && precision >= 0) return Value(value.whole());
  if (precision < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    const double rounded = std::nearbyint(value.number() / scale) * scale;
    return value.is_whole() ? Value(static_cast<int64_t>(rounded)) : Value(rounded);
  }
  if (!std::isfinite(value.number())) return value;
  // The decimal digits of the number itself, to the nearest, ties to even.
  FormatSpec spec;
  spec.type = 'f';
  spec.precision = precision;
  const std::string text = FormatValue(runtime, value, spec).bytes();
  return Value(std::strtod(text.c_str(), nullptr));
}

constexpr std::pair<std::string_view, Filter> kFilters[] = {
    {"default", Default},
    {"d", Default},
    {"length", Count},
    {"count", Count},
    {"list", ToList},
    {"items", Items},
    {"first", First},
    {"last", Last},
    {"reverse", Reverse},
    {"join", Join},
    {"attr", Attribute},
    {"map", Map},
    {"select", Select},
    {"reject", Reject},
    {"selectattr", SelectByAttribute},
    {"rejectattr", RejectByAttribute},
    {"batch", Batch},
    {"sum", Sum},
    {"abs", Absolute},
    {"round", Round},
};

}  // namespace

Value AttributePath(Runtime& runtime, const Value& value, const Value& path,
                    const Value* otherwise) {
  if (path.is_whole()) return GetItem(runtime, value, path);
  if (!path.is_text()) throw Failure("found a " + path.TypeName() + " as an attribute's name");
  Value found = value;
  const std::string_view names = path.bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find('.', begin), names.size());
    const std::string_view name = names.substr(begin, end - begin);
    size_t digits = 0;
    const bool is_number =
        !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
    found = is_number ? GetItem(runtime, found, Value(ReadNumber(name, &digits, 0)))
                      : GetItem(runtime, found, Value(name, Origin::kTemplate));
    if (found.is_undefined() && otherwise != nullptr) found = *otherwise;
    begin = end + 1;
  }
  return found;
}

Filter FindListFilter(std::string_view name) {
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter;
  }
  return nullptr;
}

}  // namespace quantspec::jinja
