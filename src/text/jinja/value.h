// Values of a template, as Python has them. All are immutable but namespaces and generators.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/marked_text.h"

namespace quantspec::jinja {

// What a template does wrong; whoever renders it adds the line.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Value;
struct Extent;
struct List;
struct Dict;
class Object;

// The value of a name that does not exist, and why it does not.
struct Undefined {
  std::string reason;
};

class Value {
 public:
  using Text = std::shared_ptr<const MarkedText>;

  Value() = default;  // None
  explicit Value(bool value) : data_(value) {}
  explicit Value(int64_t value) : data_(value) {}
  explicit Value(double value) : data_(value) {}
  explicit Value(MarkedText text) : data_(std::make_shared<const MarkedText>(std::move(text))) {}
  Value(std::string_view text, Origin origin) : Value(MarkedText(text, origin)) {}
  explicit Value(std::shared_ptr<List> list) : data_(std::move(list)) {}
  explicit Value(std::shared_ptr<Dict> dict) : data_(std::move(dict)) {}
  explicit Value(Object* object) : data_(object) {}
  static Value MakeUndefined(std::string reason);

  bool is_none() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_undefined() const { return std::holds_alternative<UndefinedPtr>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(data_); }  // no bool
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_whole() const { return is_bool() || is_integer(); }
  bool is_number() const { return is_whole() || is_float(); }
  bool is_text() const { return std::holds_alternative<Text>(data_); }

  bool boolean() const { return std::get<bool>(data_); }
  // Of a bool or an integer.
  int64_t whole() const {
    return is_bool() ? static_cast<int64_t>(boolean()) : std::get<int64_t>(data_);
  }
  // Of any number.
  double number() const {
    return is_float() ? std::get<double>(data_) : static_cast<double>(whole());
  }
  const MarkedText& text() const { return *std::get<Text>(data_); }
  const std::string& bytes() const { return text().bytes(); }
  // Null if it is none.
  List* list() const { return Get<std::shared_ptr<List>>(); }
  const Dict* dict() const { return Get<std::shared_ptr<Dict>>(); }
  Object* object() const {
    const auto* found = std::get_if<Object*>(&data_);
    return found == nullptr ? nullptr : *found;
  }
  const Undefined* undefined() const { return Get<UndefinedPtr>(); }

  Extent extent() const;
  // Python's name of the type: "str", "NoneType".
  std::string TypeName() const;
  // True for the same object, as Python's `is` for what the language has only once.
  bool IsSame(const Value& other) const { return data_ == other.data_; }

 private:
  using UndefinedPtr = std::shared_ptr<const Undefined>;
  template <typename Pointer>
  typename Pointer::element_type* Get() const {
    const auto* found = std::get_if<Pointer>(&data_);
    return found == nullptr ? nullptr : found->get();
  }

  std::variant<std::monostate, bool, int64_t, double, Text, std::shared_ptr<List>,
               std::shared_ptr<Dict>, UndefinedPtr, Object*>
      data_;
};

using Values = std::vector<Value>;

enum class ListKind : uint8_t {
  kList,
  kTuple,
  kRange,
  kKeys,  // views of a dict: a length, but no places
  kValues,
  kItems,
  kGenerator,  // neither; can be read once
};

// How large a value is with all that is in it; what is shared counts wherever it stands.
struct Extent {
  int depth = 0;       // of lists and dicts within each other
  int64_t weight = 1;  // elements, and texts by their length

  // Makes room for a part. Throws Failure for more than 200 lists and dicts within each other.
  void Add(const Value& part);
};

struct List {
  ListKind kind = ListKind::kList;
  Values items;
  Extent extent = {};
  bool is_read = false;  // kGenerator

  bool HasPlaces() const { return kind <= ListKind::kRange; }
};
Value MakeList(Values items, ListKind kind = ListKind::kList);

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in the order of insertion
  Extent extent = {};

  // Of a key that is not in it yet.
  void Append(Value key, Value value);
  const Value* Find(std::string_view key) const;
  const Value* Find(const Value& key) const;
  // Throws Failure for keys that Python cannot hash.
  void Set(const Value& key, Value value);
};

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;

  void AddNamed(std::string name, Value value);  // Failure for a name given twice
};

class Runtime;

// What is neither data nor text: namespaces, functions, macros, loops. Owned by the Runtime.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string TypeName() const = 0;
  // Null if there is none of this name.
  virtual const Value* Attribute(std::string_view name);
  virtual bool IsCallable() const { return true; }
  // Throws Failure for objects that are no functions, and for wrong arguments.
  virtual Value Call(Runtime& runtime, const Arguments& arguments);
};

class Namespace : public Object {
 public:
  std::string TypeName() const override { return "Namespace"; }
  const Value* Attribute(std::string_view name) override;
  bool IsCallable() const override { return false; }
  void Set(std::string_view name, Value value);  // Failure for names that begin with "_"
  const std::vector<std::pair<std::string, Value>>& values() const { return values_; }

 private:
  std::vector<std::pair<std::string, Value>> values_;
};

}  // namespace quantspec::jinja
