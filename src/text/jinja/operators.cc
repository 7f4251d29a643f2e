#include "text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/characters.h"
#include "text/jinja/filters.h"
#include "text/jinja/literals.h"

namespace quantspec::jinja {
namespace {

constexpr int kDeepest = 100;

[[noreturn]] void RefuseOperands(std::string_view name, const Value& a, const Value& b) {
  CheckDefined(a);
  CheckDefined(b);
  throw Failure("found " + a.TypeName() + " " + std::string(name) + " " + b.TypeName() +
                ", expected operands that '" + std::string(name) + "' takes");
}

[[noreturn]] void RefuseOverflow(std::string_view name) {
  throw Failure("found a result of '" + std::string(name) +
                "' beyond 64 bits, expected a smaller one");
}

bool EqualTo(const Value& a, const Value& b, int depth);

bool EqualLists(const Values& a, const Values& b, int depth) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!EqualTo(a[i], b[i], depth)) return false;
  }
  return true;
}

bool EqualTo(const Value& a, const Value& b, int depth) {
  if (depth > kDeepest) throw Failure("found values nested too deeply to be compared");
  if (a.is_number() && b.is_number()) {
    if (a.is_whole() && b.is_whole()) return a.whole() == b.whole();
    return a.number() == b.number();
  }
  if (a.is_text() && b.is_text()) return a.bytes() == b.bytes();
  if (a.is_undefined() && b.is_undefined()) return true;
  if (a.list() != nullptr && b.list() != nullptr) {
    if (a.list() == b.list()) return true;
    const bool is_view =
        a.list()->kind == ListKind::kValues || a.list()->kind == ListKind::kGenerator;
    return a.list()->kind == b.list()->kind && !is_view &&
           EqualLists(a.list()->items, b.list()->items, depth + 1);
  }
  if (a.dict() != nullptr && b.dict() != nullptr) {
    if (a.dict()->items.size() != b.dict()->items.size()) return false;
    for (const auto& [key, value] : a.dict()->items) {
      const Value* other = b.dict()->Find(key);
      if (other == nullptr || !EqualTo(value, *other, depth + 1)) return false;
    }
    return true;
  }
  return a.IsSame(b);
}

bool LessThan(const Value& a, const Value& b, int depth) {
  if (a.is_number() && b.is_number()) {
    if (a.is_whole() && b.is_whole()) return a.whole() < b.whole();
    return a.number() < b.number();
  }
  if (a.is_text() && b.is_text()) return a.bytes() < b.bytes();  // in the order of code points
  const List *left = a.list(), *right = b.list();
  const bool are_lists = left != nullptr && right != nullptr && left->kind == right->kind &&
                         left->kind <= ListKind::kTuple && depth < kDeepest;
  if (!are_lists) RefuseOperands("<", a, b);
  const size_t shared = std::min(left->items.size(), right->items.size());
  for (size_t i = 0; i < shared; ++i) {
    if (Equal(left->items[i], right->items[i])) continue;
    return LessThan(left->items[i], right->items[i], depth + 1);
  }
  return left->items.size() < right->items.size();
}

int64_t FloorDivide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return quotient - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

int64_t Power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i) {
    if (base == 1 || base == 0) return base;
    if (base == -1) return exponent % 2 == 0 ? 1 : -1;
    if (__builtin_mul_overflow(result, base, &result)) RefuseOverflow("**");
  }
  return result;
}

Value CalculateWhole(std::string_view name, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  if (name == "+") {
    overflows = __builtin_add_overflow(a, b, &result);
  } else if (name == "-") {
    overflows = __builtin_sub_overflow(a, b, &result);
  } else if (name == "*") {
    overflows = __builtin_mul_overflow(a, b, &result);
  } else if (name == "**") {
    if (b < 0) {
      if (a == 0) throw Failure("found 0 to a negative power");
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
    }
    result = Power(a, b);
  } else {
    if (b == 0) throw Failure("found a division by zero");
    if (name == "/") return Value(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) {
      overflows = name == "//" && __builtin_sub_overflow(int64_t{0}, a, &result);
    } else {
      result = name == "//" ? FloorDivide(a, b) : a - FloorDivide(a, b) * b;
    }
  }
  if (overflows) RefuseOverflow(name);
  return Value(result);
}

Value CalculateFloat(std::string_view name, double a, double b) {
  if (name == "+") return Value(a + b);
  if (name == "-") return Value(a - b);
  if (name == "*") return Value(a * b);
  if (name == "**") {
    const double power = std::pow(a, b);
    const bool is_lost = std::isnan(power) && !std::isnan(a) && !std::isnan(b);
    if (is_lost || (std::isinf(power) && !std::isinf(a) && !std::isinf(b))) {
      throw Failure("found a result of '**' that is no number, expected one");
    }
    return Value(power);
  }
  if (b == 0) throw Failure("found a division by zero");
  if (name == "/") return Value(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) {
      rest += b;
      quotient -= 1;
    }
  } else {
    rest = std::copysign(0.0, b);
  }
  if (name == "%") return Value(rest);
  if (quotient == 0) return Value(std::copysign(0.0, a / b));
  const double floor = std::floor(quotient);
  return Value(quotient - floor > 0.5 ? floor + 1 : floor);
}

Value JoinTexts(Runtime& runtime, const MarkedText& a, const MarkedText& b) {
  const bool is_markup = a.is_markup() || b.is_markup();
  runtime.Bytes(a.size() + b.size());
  MarkedText joined = is_markup && !a.is_markup() ? EscapeMarkup(a) : a;
  joined.Append(is_markup && !b.is_markup() ? EscapeMarkup(b) : b);
  joined.set_markup(is_markup);
  return Value(std::move(joined));
}

bool IsPlainList(const Value& value) {
  return value.list() != nullptr && value.list()->kind <= ListKind::kTuple;
}

Value RepeatList(Runtime& runtime, const List& list, int64_t count) {
  Values items;
  if (!list.items.empty()) {
    for (int64_t i = 0; i < count; ++i) {
      runtime.Step(static_cast<int64_t>(list.items.size()));
      items.insert(items.end(), list.items.begin(), list.items.end());
    }
  }
  return MakeList(std::move(items), list.kind);
}

bool Contains(Runtime& runtime, const Value& container, const Value& value) {
  if (container.is_text()) {
    runtime.Bytes(container.text().size() / 8);
    if (value.is_text()) return container.bytes().find(value.bytes()) != std::string::npos;
    CheckDefined(value);
    throw Failure("found " + value.TypeName() + " in str, expected a text");
  }
  if (container.dict() != nullptr) {
    CheckHashable(value);
    return container.dict()->Find(value) != nullptr;
  }
  for (const Value& element : Elements(runtime, container)) {
    runtime.Walk(element);
    if (Equal(element, value)) return true;
  }
  return false;
}

}  // namespace

bool Truth(const Value& value) {
  if (value.is_none() || value.is_undefined()) return false;
  if (value.is_number()) return value.is_float() ? value.number() != 0 : value.whole() != 0;
  if (value.is_text()) return !value.text().empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  if (const List* list = value.list()) {
    return list->kind == ListKind::kGenerator || !list->items.empty();
  }
  return true;
}

bool Equal(const Value& a, const Value& b) { return EqualTo(a, b, 0); }
bool Less(const Value& a, const Value& b) { return LessThan(a, b, 0); }

void CheckHashable(const Value& value) {
  const List* list = value.list();
  if (value.dict() != nullptr || (list != nullptr && list->kind != ListKind::kTuple)) {
    throw Failure("found a key of type " + value.TypeName() + ", expected a text or a number");
  }
  if (list == nullptr) return;
  for (const Value& item : list->items) CheckHashable(item);
}

void CheckDefined(const Value& value) {
  if (value.is_undefined()) throw Failure(value.undefined()->reason);
}

Value Calculate(Runtime& runtime, std::string_view name, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_whole() && b.is_whole()) return CalculateWhole(name, a.whole(), b.whole());
    return CalculateFloat(name, a.number(), b.number());
  }
  if (name == "+" && a.is_text() && b.is_text()) return JoinTexts(runtime, a.text(), b.text());
  if (name == "+" && IsPlainList(a) && IsPlainList(b) && a.list()->kind == b.list()->kind) {
    Values items = a.list()->items;
    items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
    return runtime.Items(std::move(items), a.list()->kind);
  }
  if (name == "*") {
    if (a.is_text() && b.is_whole()) return Repeat(runtime, a.text(), b.whole());
    if (b.is_text() && a.is_whole()) return Repeat(runtime, b.text(), a.whole());
    if (IsPlainList(a) && b.is_whole()) return RepeatList(runtime, *a.list(), b.whole());
    if (IsPlainList(b) && a.is_whole()) return RepeatList(runtime, *b.list(), a.whole());
  }
  if (name == "%" && a.is_text()) return FormatPercent(runtime, a.text(), b);
  RefuseOperands(name, a, b);
}

Value Negate(const Value& value) {
  if (value.is_float()) return Value(-value.number());
  if (value.is_whole()) return CalculateWhole("-", 0, value.whole());
  CheckDefined(value);
  throw Failure("found - before a " + value.TypeName() + ", expected a number");
}

bool Compare(Runtime& runtime, std::string_view name, const Value& a, const Value& b) {
  runtime.Step(1 + std::min(a.extent().weight, b.extent().weight) / 8);
  if (name == "==") return Equal(a, b);
  if (name == "!=") return !Equal(a, b);
  if (name == "<") return Less(a, b);
  if (name == ">") return Less(b, a);
  if (name == "in") return Contains(runtime, b, a);
  if (name == "not in") return !Contains(runtime, b, a);
  // NaN is neither less nor equal.
  return (name == "<=" ? Less(a, b) : Less(b, a)) || Equal(a, b);
}

}  // namespace quantspec::jinja
