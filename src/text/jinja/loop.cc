#include "text/jinja/loop.h"

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"

namespace quantspec::jinja {

// loop.cycle and loop.changed.
class Loop::Helper : public Object {
 public:
  Helper(Loop* owner, bool is_cycle) : owner_(owner), is_cycle_(is_cycle) {}
  std::string TypeName() const override { return "method"; }
  Value Call(Runtime&, const Arguments& arguments) override {
    if (!arguments.named.empty()) throw Failure("loop: found a named argument, expected values");
    const Values& values = arguments.positional;
    if (is_cycle_) {
      if (values.empty()) throw Failure("loop.cycle: found no values, expected some");
      return values[(owner_->taken_ - 1) % values.size()];
    }
    bool is_same = owner_->was_changed_ && values.size() == owner_->last_changed_.size();
    for (size_t i = 0; i < values.size() && is_same; ++i) {
      is_same = Equal(values[i], owner_->last_changed_[i]);
    }
    owner_->last_changed_ = values;
    owner_->was_changed_ = true;
    return Value(!is_same);
  }

 private:
  Loop* owner_;
  bool is_cycle_;
};

bool Loop::Accept(size_t count) {
  while (accepted_ < count && read_ < elements_.size()) {
    const Value element = elements_[read_++];
    if (accepts_(element)) elements_[accepted_++] = element;
  }
  return accepted_ >= count;
}

const Value* Loop::Next() {
  if (!Accept(taken_ + 1)) return nullptr;
  return &elements_[taken_++];
}

Value Loop::Compute(std::string_view name) {
  if (accepted_ < taken_) return Value::MakeUndefined("found a loop that is over");
  const auto number = [](size_t value) { return Value(static_cast<int64_t>(value)); };
  if (name == "index") return number(taken_);
  if (name == "index0") return number(taken_ - 1);
  if (name == "first") return Value(taken_ == 1);
  if (name == "last") return Value(!Accept(taken_ + 1));
  if (name == "depth") return number(static_cast<size_t>(depth_));
  if (name == "depth0") return number(static_cast<size_t>(depth_ - 1));
  if (name == "previtem") {
    return taken_ > 1 ? elements_[taken_ - 2] : Value::MakeUndefined("found no previous item");
  }
  if (name == "nextitem") {
    return Accept(taken_ + 1) ? elements_[taken_] : Value::MakeUndefined("found no next item");
  }
  Accept(elements_.size());
  if (name == "length") return number(accepted_);
  return number(accepted_ - taken_ + (name == "revindex" ? 1 : 0));
}

const Value* Loop::Attribute(std::string_view name) {
  if (name == "cycle" || name == "changed") {
    helpers_.push_back(std::make_unique<Helper>(this, name == "cycle"));
    attribute_ = Value(helpers_.back().get());
    return &attribute_;
  }
  for (const std::string_view known : {"index", "index0", "revindex", "revindex0", "first", "last",
                                       "length", "depth", "depth0", "previtem", "nextitem"}) {
    if (known != name) continue;
    attribute_ = Compute(name);
    return &attribute_;
  }
  return nullptr;
}

Value Loop::Call(Runtime&, const Arguments& arguments) {
  const Bound bound("loop", arguments, {"iterable"});
  if (!recurse_) throw Failure("found a call of 'loop', expected a 'recursive' for around it");
  return recurse_(bound.Need(0), depth_ + 1);
}

}  // namespace quantspec::jinja
