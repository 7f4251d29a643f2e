// Lookups in a parsed file.

#include <algorithm>
#include <limits>

#include "io/byte_cursor.h"
#include "io/gguf.h"

namespace quantspec {
namespace {

// A value in words, for messages.
struct Words {
  std::string operator()(int64_t value) const { return "the integer " + std::to_string(value); }
  std::string operator()(uint64_t value) const { return "the integer " + std::to_string(value); }
  std::string operator()(double value) const { return "the number " + std::to_string(value); }
  std::string operator()(bool value) const { return value ? "the bool true" : "the bool false"; }
  std::string operator()(std::string_view value) const {
    return "the text \"" + Printable(value) + "\"";
  }
  std::string operator()(const GgufArray& value) const {
    return "an array of " + std::to_string(value.size()) + " elements";
  }
};

}  // namespace

const GgufValue* Gguf::Find(std::string_view key) const {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), key,
                                   [](const Entry& e, std::string_view k) { return e.key < k; });
  return at != entries_.end() && at->key == key ? &at->value : nullptr;
}

const GgufTensor* Gguf::FindTensor(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_by_name_.begin(), tensors_by_name_.end(), name,
      [&](uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  if (at == tensors_by_name_.end() || tensors_[*at].name != name) return nullptr;
  return &tensors_[*at];
}

namespace {

[[noreturn]] void WrongType(const Gguf& file, std::string_view key, std::string_view expected) {
  std::string text = file.name() + ": metadata " + Printable(key) + ": found " +
                     std::visit(Words{}, *file.Find(key)) + ", expected ";
  text.append(expected).append("; convert the model again or take another file of it");
  throw Error(ErrorKind::kCorrupt, text);
}

// The value of `key` as it is stored, or null if absent; of another type it is an error.
template <typename T>
const T* Stored(const Gguf& file, std::string_view key, std::string_view expected) {
  const GgufValue* value = file.Find(key);
  if (value == nullptr) return nullptr;
  const T* stored = std::get_if<T>(value);
  if (stored == nullptr) WrongType(file, key, expected);
  return stored;
}

}  // namespace

std::optional<int64_t> Gguf::Integer(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* whole = std::get_if<int64_t>(value)) return *whole;
  if (const auto* whole = std::get_if<uint64_t>(value)) {
    if (*whole <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return static_cast<int64_t>(*whole);
    }
  }
  WrongType(*this, key, "an integer of at most 2^63 - 1");
}

std::optional<double> Gguf::Number(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* whole = std::get_if<int64_t>(value)) return static_cast<double>(*whole);
  if (const auto* whole = std::get_if<uint64_t>(value)) return static_cast<double>(*whole);
  WrongType(*this, key, "a number");
}

std::optional<bool> Gguf::Bool(std::string_view key) const {
  const bool* value = Stored<bool>(*this, key, "a bool");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::string_view> Gguf::String(std::string_view key) const {
  const auto* value = Stored<std::string_view>(*this, key, "a text");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

const GgufArray* Gguf::Array(std::string_view key) const {
  return Stored<GgufArray>(*this, key, "an array");
}

}  // namespace quantspec
