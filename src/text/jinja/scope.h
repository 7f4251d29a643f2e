// Names and their values within a part of a template.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace quantspec::jinja {

class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> parent) : parent_(std::move(parent)) {}

  // The innermost value of this name; null if there is none.
  const Value* Find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
      for (const auto& [known, value] : scope->values_) {
        if (known == name) return &value;
      }
    }
    return nullptr;
  }
  // In this scope.
  void Set(std::string_view name, Value value) {
    for (auto& [known, old] : values_) {
      if (known != name) continue;
      old = std::move(value);
      return;
    }
    values_.emplace_back(name, std::move(value));
  }

 private:
  std::vector<std::pair<std::string, Value>> values_;
  std::shared_ptr<Scope> parent_;
};

}  // namespace quantspec::jinja
