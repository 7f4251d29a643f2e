// Walking, measuring and taking parts of values.

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

bool IsAscii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
}

// The place that a number from Python means in `size` elements; -1 if it is outside.
int64_t PlaceOf(int64_t index, int64_t size) {
  if (index < 0) index += size;
  return index < 0 || index >= size ? -1 : index;
}

Value CharacterAt(const MarkedText& text, int64_t index) {
  if (IsAscii(text.bytes())) {
    const int64_t at = PlaceOf(index, static_cast<int64_t>(text.size()));
    if (at < 0) return Value::MakeUndefined("found no character at " + std::to_string(index));
    return Value(text.Slice(static_cast<size_t>(at), static_cast<size_t>(at) + 1));
  }
  const std::vector<Character> characters = Characters(text.bytes());
  const int64_t at = PlaceOf(index, static_cast<int64_t>(characters.size()));
  if (at < 0) return Value::MakeUndefined("found no character at " + std::to_string(index));
  const Character& one = characters[static_cast<size_t>(at)];
  return Value(text.Slice(one.begin, one.end));
}

// The item alone, without a look at attributes; undefined if there is none.
Value ItemOf(Runtime& runtime, const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    CheckDefined(key);
    runtime.Step(static_cast<int64_t>(dict->items.size() / 64));
    const List* list = key.list();
    const bool is_hashable =
        key.dict() == nullptr && (list == nullptr || list->kind == ListKind::kTuple);
    const Value* found = is_hashable ? dict->Find(key) : nullptr;
    if (found != nullptr) return *found;
  } else if (value.is_text() && key.is_whole()) {
    runtime.Step(1 + static_cast<int64_t>(value.text().size() / 64));
    return CharacterAt(value.text(), key.whole());
  } else if (const List* list = value.list();
             list != nullptr && list->HasPlaces() && key.is_whole()) {
    const int64_t at = PlaceOf(key.whole(), static_cast<int64_t>(list->items.size()));
    if (at >= 0) return list->items[static_cast<size_t>(at)];
    return Value::MakeUndefined("found no element " + std::to_string(key.whole()) + " in " +
                                std::to_string(list->items.size()));
  }
  return Value::MakeUndefined("found a " + value.TypeName() + " without such an element");
}

// The attribute alone; undefined if there is none.
Value AttributeOf(Runtime& runtime, const Value& value, const std::string& name) {
  if (Object* object = value.object()) {
    if (const Value* found = object->Attribute(name)) return *found;
  } else if (HasMethod(value, name)) {
    return Value(runtime.Make<BoundMethod>(value, name));
  }
  const bool is_private = name.substr(0, 1) == "_";
  return Value::MakeUndefined(
      "found no '" + name.substr(0, 80) + "' in a value of type " + value.TypeName() +
      (is_private || IsForbidden(value, name) ? ", and templates may not change or inspect it"
                                              : ""));
}

struct SliceBounds {
  int64_t begin, end, step;
};

// As Python's slice.indices().
SliceBounds BoundsOf(const Value& begin, const Value& end, const Value& step, int64_t size) {
  SliceBounds bounds{0, size, 1};
  if (!step.is_none()) bounds.step = WholeNumber(step, "the step of a slice");
  if (bounds.step == 0) throw Failure("found a slice with step 0, expected another number");
  const bool is_back = bounds.step < 0;
  const auto clamp = [&](const Value& place, int64_t otherwise) {
    if (place.is_none()) return otherwise;
    int64_t at = WholeNumber(place, "the place of a slice");
    if (at < 0) at = at < -size ? -1 : at + size;
    return std::clamp(at, is_back ? int64_t{-1} : int64_t{0}, is_back ? size - 1 : size);
  };
  bounds.begin = clamp(begin, is_back ? size - 1 : 0);
  bounds.end = clamp(end, is_back ? -1 : size);
  return bounds;
}

template <typename Take>
void ForEachIn(Runtime& runtime, const SliceBounds& bounds, int64_t size, const Take& take) {
  const int64_t step = std::clamp(bounds.step, -size - 1, size + 1);
  for (int64_t at = bounds.begin; step > 0 ? at < bounds.end : at > bounds.end; at += step) {
    runtime.Step();
    take(static_cast<size_t>(at));
  }
}

Value SliceText(Runtime& runtime, const MarkedText& text, const Value& begin, const Value& end,
                const Value& step) {
  runtime.Bytes(text.size() / 8);
  const bool is_ascii = IsAscii(text.bytes());
  std::vector<Character> characters;
  if (!is_ascii) characters = Characters(text.bytes());
  const auto size = static_cast<int64_t>(is_ascii ? text.size() : characters.size());
  const SliceBounds bounds = BoundsOf(begin, end, step, size);
  const auto start_of = [&](int64_t at) {
    if (is_ascii) return static_cast<size_t>(at);
    return at == size ? text.size() : characters[static_cast<size_t>(at)].begin;
  };
  if (bounds.step == 1) {
    return runtime.Text(
        text.Slice(start_of(bounds.begin), start_of(std::max(bounds.begin, bounds.end))));
  }
  MarkedText slice;
  ForEachIn(runtime, bounds, size, [&](size_t at) {
    slice.AppendSlice(text, start_of(static_cast<int64_t>(at)),
                      start_of(static_cast<int64_t>(at) + 1));
  });
  slice.set_markup(text.is_markup());
  return runtime.Text(std::move(slice));
}

}  // namespace

Values Elements(Runtime& runtime, const Value& value) {
  Values elements;
  if (List* list = value.list()) {
    runtime.Step(1 + static_cast<int64_t>(list->items.size()));
    if (list->kind != ListKind::kGenerator) return list->items;
    if (list->is_read) return {};
    list->is_read = true;
    return std::exchange(list->items, {});
  }
  if (const Dict* dict = value.dict()) {
    runtime.Step(static_cast<int64_t>(dict->items.size()));
    for (const auto& [key, unused] : dict->items) elements.push_back(key);
    return elements;
  }
  if (value.is_text()) {
    for (const Character& one : Characters(value.bytes())) {
      runtime.Step();
      elements.emplace_back(value.text().Slice(one.begin, one.end));
    }
    return elements;
  }
  if (value.is_undefined()) return elements;
  throw Failure("found a value of type " + value.TypeName() + ", expected one with elements");
}

int64_t Length(const Value& value) {
  if (value.is_text()) return static_cast<int64_t>(CountCharacters(value.bytes()));
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->items.size());
  if (value.is_undefined()) return 0;
  const List* list = value.list();
  if (list != nullptr && list->kind != ListKind::kGenerator) {
    return static_cast<int64_t>(list->items.size());
  }
  throw Failure("found a value of type " + value.TypeName() + ", expected one with a length");
}

int64_t WholeNumber(const Value& value, const char* what) {
  CheckDefined(value);
  if (value.is_whole()) return value.whole();
  throw Failure(std::string(what) + ": found " + value.TypeName() + ", expected a whole number");
}

Value GetItem(Runtime& runtime, const Value& value, const Value& key) {
  if (value.object() == nullptr) {
    CheckDefined(value);
    const Value item = ItemOf(runtime, value, key);
    if (!item.is_undefined() || !key.is_text()) return item;
  }
  if (!key.is_text()) {
    return Value::MakeUndefined("found a " + value.TypeName() + " without such an element");
  }
  return AttributeOf(runtime, value, key.bytes());
}

Value GetAttribute(Runtime& runtime, const Value& value, const std::string& name) {
  CheckDefined(value);
  Value attribute = AttributeOf(runtime, value, name);
  if (!attribute.is_undefined() || value.dict() == nullptr) return attribute;
  if (const Value* item = value.dict()->Find(std::string_view(name))) return *item;
  return attribute;
}

Value Slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
            const Value& step) {
  CheckDefined(value);
  if (value.is_text()) return SliceText(runtime, value.text(), begin, end, step);
  const List* list = value.list();
  if (list == nullptr || !list->HasPlaces()) {
    throw Failure("found a slice of a " + value.TypeName() + ", expected a text or a list");
  }
  const auto size = static_cast<int64_t>(list->items.size());
  const SliceBounds bounds = BoundsOf(begin, end, step, size);
  Values items;
  ForEachIn(runtime, bounds, size, [&](size_t at) { items.push_back(list->items[at]); });
  return MakeList(std::move(items), list->kind);
}

Value Repeat(Runtime& runtime, const MarkedText& text, int64_t count) {
  MarkedText repeated;
  if (count > 0 && !text.empty()) {
    runtime.Bytes(text.size(), static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) repeated.Append(text);
  }
  repeated.set_markup(text.is_markup());
  return Value(std::move(repeated));
}

}  // namespace quantspec::jinja
