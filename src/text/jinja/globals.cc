// The functions that every template has.

#include <algorithm>
#include <array>
#include <functional>

#include "text/jinja/filters.h"
#include "text/jinja/literals.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {
namespace {

constexpr int64_t kLongestRange = 100000;  // as jinja2's sandbox

class Function : public Object {
 public:
  using Body = Value (*)(Runtime& runtime, const Arguments& arguments);
  explicit Function(Body body) : body_(body) {}
  std::string TypeName() const override { return "function"; }
  Value Call(Runtime& runtime, const Arguments& arguments) override {
    return body_(runtime, arguments);
  }

 private:
  Body body_;
};

Value Range(Runtime& runtime, const Arguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"});
  bound.Need(0);
  const bool has_stop = bound[1] != nullptr;
  const int64_t begin = has_stop ? bound.Whole(0, 0) : 0;
  const int64_t end = has_stop ? bound.Whole(1, 0) : bound.Whole(0, 0);
  const int64_t step = bound.Whole(2, 1);
  if (step == 0) throw Failure("range: found the step 0, expected another number");
  Values items;
  for (int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (static_cast<int64_t>(items.size()) >= kLongestRange) {
      throw Failure("range: found more than 100000 numbers, expected at most so many");
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return runtime.Items(std::move(items), ListKind::kRange);
}

void AddPairs(Runtime& runtime, const Arguments& arguments, Dict* dict) {
  if (arguments.positional.size() > 1) throw Failure("dict: found more than one value");
  if (!arguments.positional.empty()) {
    const Value& value = arguments.positional[0];
    CheckDefined(value);
    if (value.dict() != nullptr) {
      *dict = *value.dict();
    } else {
      for (const Value& pair : Elements(runtime, value)) {
        const Values parts = Elements(runtime, pair);
        if (parts.size() != 2) throw Failure("dict: found an element that is no pair");
        runtime.Step(1 + static_cast<int64_t>(dict->items.size() / 8));
        dict->Set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) {
    dict->Set(Value(name, Origin::kTemplate), value);
  }
  runtime.Step(static_cast<int64_t>(dict->items.size()));
}

Value MakeDict(Runtime& runtime, const Arguments& arguments) {
  const auto dict = std::make_shared<Dict>();
  AddPairs(runtime, arguments, dict.get());
  return Value(dict);
}

Value MakeNamespace(Runtime& runtime, const Arguments& arguments) {
  Dict dict;
  AddPairs(runtime, arguments, &dict);
  auto* made = runtime.Make<Namespace>();
  for (const auto& [name, value] : dict.items) made->Set(TextOf(name).bytes(), value);
  return Value(made);
}

Value RaiseException(Runtime&, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"});
  throw Failure("the template refuses this conversation: " +
                TextOf(bound.Need(0)).bytes().substr(0, 1000));
}

Value Now(Runtime& runtime, const Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"});
  bound.Need(0);
  const std::string& format = bound.Text(0)->bytes();
  if (format.empty()) return Value(MarkedText{});
  if (format.size() > 1000) throw Failure("strftime_now: found more than 1000 bytes");
  const std::time_t now = runtime.now();
  std::tm parts{};
  localtime_r(&now, &parts);
  std::array<char, 16384> text;
  const size_t length = std::strftime(text.data(), text.size(), format.c_str(), &parts);
  return runtime.Text(MarkedText({text.data(), length}, Origin::kTemplate));
}

// Gives its values one after another, again and again.
class Cycler : public Object {
 public:
  Cycler(Runtime& runtime, Values values) : values_(std::move(values)) {
    next_function_ = Value(runtime.Make<Step>(this, &Cycler::Next));
    reset_function_ = Value(runtime.Make<Step>(this, &Cycler::Reset));
  }
  std::string TypeName() const override { return "Cycler"; }
  bool IsCallable() const override { return false; }
  const Value* Attribute(std::string_view name) override {
    if (name == "next") return &next_function_;
    if (name == "reset") return &reset_function_;
    return name == "current" ? &values_[at_] : nullptr;
  }

 private:
  class Step : public Object {
   public:
    Step(Cycler* owner, Value (Cycler::*body)()) : owner_(owner), body_(body) {}
    std::string TypeName() const override { return "method"; }
    Value Call(Runtime&, const Arguments& arguments) override {
      const Bound bound("a method of a cycler", arguments, {});
      return (owner_->*body_)();
    }

   private:
    Cycler* owner_;
    Value (Cycler::*body_)();
  };

  Value Next() {
    const Value value = values_[at_];
    at_ = (at_ + 1) % values_.size();
    return value;
  }
  Value Reset() {
    at_ = 0;
    return Value();
  }

  Values values_;
  size_t at_ = 0;
  Value next_function_, reset_function_;
};

Value MakeCycler(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.empty()) throw Failure("cycler: found no values, expected some");
  return Value(runtime.Make<Cycler>(runtime, arguments.positional));
}

// Gives nothing the first time, its separator later.
class Joiner : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string TypeName() const override { return "Joiner"; }
  Value Call(Runtime&, const Arguments& arguments) override {
    const Bound bound("a joiner", arguments, {});
    return std::exchange(was_called_, true) ? separator_ : Value(MarkedText{});
  }

 private:
  Value separator_;
  bool was_called_ = false;
};

Value MakeJoiner(Runtime& runtime, const Arguments& arguments) {
  const Bound bound("joiner", arguments, {"sep"});
  return Value(
      runtime.Make<Joiner>(bound[0] == nullptr ? Value(", ", Origin::kTemplate) : *bound[0]));
}

constexpr std::pair<std::string_view, Function::Body> kFunctions[] = {
    {"range", Range},
    {"dict", MakeDict},
    {"namespace", MakeNamespace},
    {"raise_exception", RaiseException},
    {"strftime_now", Now},
    {"cycler", MakeCycler},
    {"joiner", MakeJoiner},
};

}  // namespace

Value FindGlobal(Runtime& runtime, std::string_view name) {
  for (const auto& [known, body] : kFunctions) {
    if (known == name) return Value(runtime.Make<Function>(body));
  }
  return Value::MakeUndefined("found the name " + Quote(name) + ", which is not defined");
}

}  // namespace quantspec::jinja
