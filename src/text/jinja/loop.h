// The state of a `for`, which its body sees as `loop`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace quantspec::jinja {

// Elements are tested no sooner than they are needed: the body may change what the test reads.
class Loop : public Object {
 public:
  using Accepts = std::function<bool(const Value& element)>;
  using Recurse = std::function<Value(const Value& over, int depth)>;

  Loop(Values elements, Accepts accepts, int depth)
      : elements_(std::move(elements)), accepts_(std::move(accepts)), depth_(depth) {}
  void set_recurse(Recurse recurse) { recurse_ = std::move(recurse); }

  // Lets go of the elements once the loop is over.
  void Finish() {
    elements_.clear();
    read_ = accepted_ = 0;
  }

  // Null at the end.
  const Value* Next();

  std::string TypeName() const override { return "LoopContext"; }
  const Value* Attribute(std::string_view name) override;
  bool IsCallable() const override { return recurse_ != nullptr; }
  Value Call(Runtime& runtime, const Arguments& arguments) override;

 private:
  class Helper;
  // Finds accepted elements until there are `count`; false if there are fewer.
  bool Accept(size_t count);
  Value Compute(std::string_view name);

  Values elements_;
  size_t read_ = 0;  // of elements_, which keeps the accepted ones in front
  size_t accepted_ = 0;
  size_t taken_ = 0;
  Accepts accepts_;
  Recurse recurse_;
  int depth_;
  Value attribute_;  // the one that was last asked for
  Values last_changed_;
  bool was_changed_ = false;
  std::vector<std::unique_ptr<Object>> helpers_;
};

}  // namespace quantspec::jinja
