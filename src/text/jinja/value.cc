#include "text/jinja/value.h"

#include <algorithm>

#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

constexpr int kDeepest = 200;
constexpr int64_t kMostWeight = int64_t{1} << 40;

}  // namespace

Value Value::MakeUndefined(std::string reason) {
  Value value;
  value.data_ = std::make_shared<const Undefined>(Undefined{std::move(reason)});
  return value;
}

std::string Value::TypeName() const {
  if (is_none()) return "NoneType";
  if (is_undefined()) return "Undefined";
  if (is_bool()) return "bool";
  if (is_integer()) return "int";
  if (is_float()) return "float";
  if (is_text()) return text().is_markup() ? "Markup" : "str";
  if (dict() != nullptr) return "dict";
  if (object() != nullptr) return object()->TypeName();
  switch (list()->kind) {
    case ListKind::kList:
      return "list";
    case ListKind::kTuple:
      return "tuple";
    case ListKind::kRange:
      return "range";
    case ListKind::kKeys:
      return "dict_keys";
    case ListKind::kValues:
      return "dict_values";
    case ListKind::kItems:
      return "dict_items";
    case ListKind::kGenerator:
      break;
  }
  return "generator";
}

void Extent::Add(const Value& part) {
  const Extent other = part.extent();
  depth = std::max(depth, other.depth + 1);
  weight = std::min(weight + other.weight, kMostWeight);
  if (depth > kDeepest) throw Failure("found more than 200 lists and dicts within each other");
}

Extent Value::extent() const {
  if (const List* own = list()) return own->extent;
  if (const Dict* own = dict()) return own->extent;
  return {0, is_text() ? 1 + static_cast<int64_t>(text().size() / 16) : 1};
}

Value MakeList(Values items, ListKind kind) {
  auto list = std::make_shared<List>();
  list->kind = kind;
  for (const Value& item : items) list->extent.Add(item);
  list->items = std::move(items);
  return Value(std::move(list));
}

void Dict::Append(Value key, Value value) {
  extent.Add(key);
  extent.Add(value);
  items.emplace_back(std::move(key), std::move(value));
}

const Value* Dict::Find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name.is_text() && name.bytes() == key) return &value;
  }
  return nullptr;
}

const Value* Dict::Find(const Value& key) const {
  if (key.is_text()) return Find(std::string_view(key.bytes()));
  for (const auto& [name, value] : items) {
    if (Equal(name, key)) return &value;
  }
  return nullptr;
}

void Dict::Set(const Value& key, Value value) {
  CheckHashable(key);
  if (const Value* found = Find(key)) {
    extent.Add(value);
    *const_cast<Value*>(found) = std::move(value);
  } else {
    Append(key, std::move(value));
  }
}

void Arguments::AddNamed(std::string name, Value value) {
  for (const auto& [known, unused] : named) {
    if (known == name) throw Failure("found the argument '" + name + "' twice, expected it once");
  }
  named.emplace_back(std::move(name), std::move(value));
}

const Value* Object::Attribute(std::string_view) { return nullptr; }

Value Object::Call(Runtime&, const Arguments&) {
  throw Failure("found a call of a " + TypeName() + ", expected a function");
}

const Value* Namespace::Attribute(std::string_view name) {
  for (const auto& [known, value] : values_) {
    if (known == name) return &value;
  }
  return nullptr;
}

void Namespace::Set(std::string_view name, Value value) {
  if (name.substr(0, 1) == "_") {
    throw Failure("found the attribute '" + std::string(name) +
                  "' of a namespace, expected a name without '_' in front");
  }
  for (auto& [known, old] : values_) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  values_.emplace_back(name, std::move(value));
}

}  // namespace quantspec::jinja
