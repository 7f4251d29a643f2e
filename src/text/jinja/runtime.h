// What a rendering may use up, and the objects that live as long as it does.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace quantspec::jinja {

struct Limits {
  int64_t steps = 5'000'000;           // expressions, turns of loops, list elements
  int64_t bytes = int64_t{256} << 20;  // of all texts that are made on the way
  int depth = 500;                     // of calls and expressions within each other
};

class Runtime {
 public:
  Runtime(const Limits& limits, std::time_t now) : limits_(limits), now_(now) {}

  // All throw Failure where a limit is reached.
  void Step(int64_t count = 1) {
    if ((steps_ += count) > limits_.steps) Refuse("steps");
  }
  void Bytes(size_t count) {
    bytes_ += static_cast<int64_t>(count);
    if (bytes_ > limits_.bytes) Refuse("bytes of text");
  }
  // A walk over a value and all that is in it.
  void Walk(const Value& value) { Step(1 + value.extent().weight / 8); }
  // `count` texts of `size` bytes, a product that may overflow.
  void Bytes(size_t size, size_t count) {
    if (size != 0 && count > static_cast<size_t>(limits_.bytes) / size) Refuse("bytes of text");
    Bytes(size * count);
  }
  void Enter() {
    if (++depth_ > limits_.depth) Refuse("calls within each other");
  }
  void Leave() { --depth_; }

  template <typename T, typename... Parts>
  T* Make(Parts&&... parts) {
    Step();
    auto object = std::make_unique<T>(std::forward<Parts>(parts)...);
    T* made = object.get();
    objects_.push_back(std::move(object));
    return made;
  }
  // A text that counts.
  Value Text(MarkedText text) {
    Bytes(text.size());
    return Value(std::move(text));
  }
  Value Items(Values items, ListKind kind = ListKind::kList) {
    Step(static_cast<int64_t>(items.size()));
    return MakeList(std::move(items), kind);
  }

  std::time_t now() const { return now_; }

 protected:
  virtual ~Runtime() = default;

 private:
  [[noreturn]] void Refuse(const char* what) const;

  Limits limits_;
  std::time_t now_;
  int64_t steps_ = 0;
  int64_t bytes_ = 0;
  int depth_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

// Enters on construction, leaves at the end.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& runtime) : runtime_(runtime) { runtime.Enter(); }
  ~DepthGuard() { runtime_.Leave(); }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Runtime& runtime_;
};

}  // namespace quantspec::jinja
