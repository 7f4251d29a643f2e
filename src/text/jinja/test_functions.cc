// What may stand behind `is`.

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/jinja/filters.h"
#include "text/jinja/literals.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

bool IsInteger(const Value& value) { return value.is_integer(); }
bool IsSequence(const Value& value) {
  return value.is_text() || value.is_undefined() || value.dict() != nullptr ||
         (value.list() != nullptr && value.list()->HasPlaces());
}
bool IsIterable(const Value& value) {
  return value.is_text() || value.is_undefined() || value.dict() != nullptr ||
         value.list() != nullptr;
}

bool IsCased(const Value& value, bool is_upper) {
  bool found = false;
  for (const Character& one : Characters(TextOf(value).bytes())) {
    if (is_upper ? IsLower(one.code) : IsUpper(one.code)) return false;
    found = found || (is_upper ? IsUpper(one.code) : IsLower(one.code));
  }
  return found;
}

int64_t Remainder(Runtime& runtime, const Value& value, int64_t divisor) {
  const Value rest = Calculate(runtime, "%", value, Value(divisor));
  return rest.is_whole() ? rest.whole() : rest.number() == 0 ? 0 : rest.number() == 1 ? 1 : -1;
}

struct PlainTest {
  std::string_view name;
  bool (*holds)(const Value& value);
};
constexpr PlainTest kPlainTests[] = {
    {"defined", [](const Value& value) { return !value.is_undefined(); }},
    {"undefined", [](const Value& value) { return value.is_undefined(); }},
    {"none", [](const Value& value) { return value.is_none(); }},
    {"boolean", [](const Value& value) { return value.is_bool(); }},
    {"true", [](const Value& value) { return value.is_bool() && value.boolean(); }},
    {"false", [](const Value& value) { return value.is_bool() && !value.boolean(); }},
    {"integer", IsInteger},
    {"float", [](const Value& value) { return value.is_float(); }},
    {"number", [](const Value& value) { return value.is_number(); }},
    {"string", [](const Value& value) { return value.is_text(); }},
    {"mapping", [](const Value& value) { return value.dict() != nullptr; }},
    {"sequence", IsSequence},
    {"iterable", IsIterable},
    {"callable",
     [](const Value& value) { return value.object() != nullptr && value.object()->IsCallable(); }},
    {"escaped", [](const Value& value) { return value.is_text() && value.text().is_markup(); }},
    {"lower", [](const Value& value) { return IsCased(value, false); }},
    {"upper", [](const Value& value) { return IsCased(value, true); }},
    {"filter", [](const Value& value) { return value.is_text() && HasFilter(value.bytes()); }},
    {"test", [](const Value& value) { return value.is_text() && HasTest(value.bytes()); }},
};

// Tests that are operators, by all their names.
constexpr std::pair<std::string_view, std::string_view> kComparisons[] = {
    {"eq", "=="}, {"equalto", "=="}, {"==", "=="},      {"ne", "!="},
    {"!=", "!="}, {"lt", "<"},       {"lessthan", "<"}, {"<", "<"},
    {"le", "<="}, {"<=", "<="},      {"gt", ">"},       {"greaterthan", ">"},
    {">", ">"},   {"ge", ">="},      {">=", ">="},      {"in", "in"},
};

std::string_view OperatorOf(std::string_view name) {
  for (const auto& [known, operation] : kComparisons) {
    if (known == name) return operation;
  }
  return {};
}

bool IsSame(const Value& a, const Value& b) {
  if (a.is_text() && b.is_text()) return a.bytes() == b.bytes();
  return a.IsSame(b);
}

}  // namespace

bool HasTest(std::string_view name) {
  return !OperatorOf(name).empty() || name == "odd" || name == "even" || name == "divisibleby" ||
         name == "sameas" ||
         std::any_of(std::begin(kPlainTests), std::end(kPlainTests),
                     [&](const PlainTest& test) { return test.name == name; });
}

bool ApplyTest(Runtime& runtime, std::string_view name, const Value& value,
               const Arguments& arguments) {
  runtime.Step();
  for (const PlainTest& test : kPlainTests) {
    if (test.name != name) continue;
    const Bound bound(name, arguments, {});
    return test.holds(value);
  }
  if (name == "odd" || name == "even") {
    const Bound bound(name, arguments, {});
    return Remainder(runtime, value, 2) == (name == "odd" ? 1 : 0);
  }
  if (!HasTest(name)) throw Failure("found the test " + Quote(name) + ", which does not exist");
  const Bound bound(name, arguments, {"other"});
  const Value& other = bound.Need(0);
  if (name == "sameas") return IsSame(value, other);
  if (name == "divisibleby") {
    return Equal(Calculate(runtime, "%", value, other), Value(int64_t{0}));
  }
  return Compare(runtime, OperatorOf(name), value, other);
}

}  // namespace quantspec::jinja
