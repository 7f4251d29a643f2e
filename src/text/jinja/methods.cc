#include "text/jinja/methods.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/characters.h"
#include "text/jinja/method_tables.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

// The part of a text that optional places name, as startswith and find take them.
MarkedText Part(Runtime& runtime, const Value& self, const Value* begin, const Value* end) {
  const Value none;
  if (begin == nullptr && end == nullptr) return self.text();
  return Slice(runtime, self, begin == nullptr ? none : *begin, end == nullptr ? none : *end, none)
      .text();
}

Value TestEnds(Runtime& runtime, const char* name, const Value& self, const Arguments& arguments,
               bool (*test)(const std::string& text, const std::string& part)) {
  const Bound bound(name, arguments, {"prefix", "start", "end"});
  const Value& wanted = bound.Need(0);
  const MarkedText text = Part(runtime, self, bound[1], bound[2]);
  Values parts = {wanted};
  if (wanted.list() != nullptr && wanted.list()->kind == ListKind::kTuple) {
    parts = wanted.list()->items;
  }
  for (const Value& part : parts) {
    CheckDefined(part);
    if (!part.is_text()) {
      throw Failure(std::string(name) + ": found a " + part.TypeName() + ", expected a text");
    }
    if (test(text.bytes(), part.bytes())) return Value(true);
  }
  return Value(false);
}

Value StartsWith(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return TestEnds(
      runtime, "startswith", self, arguments,
      [](const std::string& text, const std::string& part) { return text.starts_with(part); });
}
Value EndsWith(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return TestEnds(
      runtime, "endswith", self, arguments,
      [](const std::string& text, const std::string& part) { return text.ends_with(part); });
}

// The place of a part in characters, or -1.
int64_t PlaceOfPart(Runtime& runtime, const char* name, const Value& self,
                    const Arguments& arguments, bool from_right) {
  const Bound bound(name, arguments, {"sub", "start", "end"});
  bound.Need(0);
  const std::string text = Part(runtime, self, bound[1], bound[2]).bytes();
  const std::string& part = bound.Text(0)->bytes();
  const size_t at = from_right ? text.rfind(part) : text.find(part);
  if (at == std::string::npos) return -1;
  int64_t before = 0;
  if (bound[1] != nullptr && !bound[1]->is_none()) {
    before = WholeNumber(*bound[1], name);
    if (before < 0) before = std::max<int64_t>(before + Length(self), 0);
  }
  return before + static_cast<int64_t>(CountCharacters(std::string_view(text).substr(0, at)));
}

Value Find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value(PlaceOfPart(runtime, "find", self, arguments, false));
}
Value FindRight(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value(PlaceOfPart(runtime, "rfind", self, arguments, true));
}
Value Index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t place = PlaceOfPart(runtime, "index", self, arguments, false);
  if (place < 0) throw Failure("index: found no such part, expected one");
  return Value(place);
}
Value IndexRight(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const int64_t place = PlaceOfPart(runtime, "rindex", self, arguments, true);
  if (place < 0) throw Failure("rindex: found no such part, expected one");
  return Value(place);
}

Value Count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"sub", "start", "end"});
  bound.Need(0);
  const std::string text = Part(runtime, self, bound[1], bound[2]).bytes();
  const std::string& part = bound.Text(0)->bytes();
  if (part.empty()) return Value(static_cast<int64_t>(CountCharacters(text)) + 1);
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return Value(count);
}

template <bool (*IsOne)(uint32_t)>
Value AreAll(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound("a method that looks at characters", arguments, {});
  const std::vector<Character> all = Characters(self.bytes());
  return Value(!all.empty() && std::all_of(all.begin(), all.end(),
                                           [](const Character& one) { return IsOne(one.code); }));
}

template <bool (*IsRight)(uint32_t), bool (*IsWrong)(uint32_t)>
Value AreCased(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound("a method that looks at letters", arguments, {});
  bool found = false;
  for (const Character& one : Characters(self.bytes())) {
    if (IsWrong(one.code)) return Value(false);
    found = found || IsRight(one.code);
  }
  return Value(found);
}

constexpr std::pair<std::string_view, Method> kTextQueries[] = {
    {"startswith", StartsWith},
    {"endswith", EndsWith},
    {"find", Find},
    {"rfind", FindRight},
    {"index", Index},
    {"rindex", IndexRight},
    {"count", Count},
    {"isspace", AreAll<IsSpaceCode>},
    {"isdigit", AreAll<IsDigitCode>},
    {"isalpha", AreAll<IsAlphabetic>},
    {"isalnum", AreAll<IsAlphanumeric>},
    {"isupper", AreCased<IsUpper, IsLower>},
    {"islower", AreCased<IsLower, IsUpper>},
};

Value Get(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"});
  CheckHashable(bound.Need(0));
  if (const Value* found = self.dict()->Find(*bound[0])) return *found;
  return bound[1] == nullptr ? Value() : *bound[1];
}

template <ListKind Kind>
Value View(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("a view of a dict", arguments, {});
  Values items;
  for (const auto& [key, value] : self.dict()->items) {
    if (Kind == ListKind::kItems) {
      items.push_back(MakeList({key, value}, ListKind::kTuple));
    } else {
      items.push_back(Kind == ListKind::kKeys ? key : value);
    }
  }
  return runtime.Items(std::move(items), Kind);
}

Value Copy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("copy", arguments, {});
  if (self.list() != nullptr) return runtime.Items(self.list()->items);
  return Value(std::make_shared<Dict>(*self.dict()));
}

constexpr std::pair<std::string_view, Method> kDictMethods[] = {
    {"get", Get},
    {"items", View<ListKind::kItems>},
    {"keys", View<ListKind::kKeys>},
    {"values", View<ListKind::kValues>},
    {"copy", Copy},
};

Value CountElements(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"});
  int64_t count = 0;
  for (const Value& item : self.list()->items) {
    runtime.Walk(item);
    count += Equal(item, bound.Need(0)) ? 1 : 0;
  }
  return Value(count);
}

Value IndexOfElement(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"value"});
  for (size_t i = 0; i < self.list()->items.size(); ++i) {
    runtime.Walk(self.list()->items[i]);
    if (Equal(self.list()->items[i], bound.Need(0))) return Value(static_cast<int64_t>(i));
  }
  throw Failure("index: found no such element, expected one");
}

constexpr std::pair<std::string_view, Method> kListMethods[] = {
    {"count", CountElements},
    {"index", IndexOfElement},
    {"copy", Copy},
};

Value IsInteger(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound("is_integer", arguments, {});
  return Value(std::isfinite(self.number()) && std::floor(self.number()) == self.number());
}

template <size_t Count>
Method FindIn(const std::pair<std::string_view, Method> (&table)[Count], std::string_view name) {
  for (const auto& [known, method] : table) {
    if (known == name) return method;
  }
  return nullptr;
}

Method FindMethod(const Value& value, std::string_view name) {
  if (value.is_text()) {
    const Method method = FindTextMethod(name);
    return method != nullptr ? method : FindTextQuery(name);
  }
  if (value.dict() != nullptr) return FindIn(kDictMethods, name);
  if (value.is_float() && name == "is_integer") return IsInteger;
  const List* list = value.list();
  if (list == nullptr || !list->HasPlaces()) return nullptr;
  if (name == "copy" && list->kind != ListKind::kList) return nullptr;
  return FindIn(kListMethods, name);
}

}  // namespace

Method FindTextQuery(std::string_view name) { return FindIn(kTextQueries, name); }

bool HasMethod(const Value& value, std::string_view name) {
  return FindMethod(value, name) != nullptr;
}

bool IsForbidden(const Value& value, std::string_view name) {
  static constexpr std::string_view kOfLists[] = {"append", "clear",  "extend",  "insert",
                                                  "pop",    "remove", "reverse", "sort"};
  static constexpr std::string_view kOfDicts[] = {"clear", "pop", "popitem", "setdefault",
                                                  "update"};
  const auto is_in = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (value.dict() != nullptr) return is_in(kOfDicts);
  return value.list() != nullptr && value.list()->kind == ListKind::kList && is_in(kOfLists);
}

Value CallMethod(Runtime& runtime, const Value& value, std::string_view name,
                 const Arguments& arguments) {
  const Method method = FindMethod(value, name);
  if (method == nullptr) {
    throw Failure("found no method '" + std::string(name) + "' in a value of type " +
                  value.TypeName());
  }
  static constexpr std::string_view kWithNames[] = {"split", "rsplit", "splitlines", "format"};
  const bool takes_names =
      value.is_text() &&
      std::find(std::begin(kWithNames), std::end(kWithNames), name) != std::end(kWithNames);
  if (!arguments.named.empty() && !takes_names) {
    throw Failure(std::string(name) + ": found a named argument, expected values alone");
  }
  if (value.is_text()) runtime.Bytes(value.text().size() / 8);
  return method(runtime, value, arguments);
}

}  // namespace quantspec::jinja
