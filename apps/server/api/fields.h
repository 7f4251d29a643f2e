// The JSON of requests: parsed within limits, and its fields with their types and ranges checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api/errors.h"

namespace quantspec::server {

inline constexpr int kMostJsonDepth = 100;
inline constexpr int kMostJsonKeys = 20000;
inline constexpr int kMostJsonValues = 2000000;

// The object in `body`. Throws ApiFailure for what is none, or is deeper or has more keys or values
// than the limits; these are checked before anything is built.
Json ParseObject(std::string_view body);

// An object's fields; null counts as absent. All throw ApiFailure naming the field.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  // Null if it is absent.
  const Json* Find(const char* name) const;
  bool Flag(const char* name, bool otherwise) const;
  double Number(const char* name, double otherwise, double low, double high) const;
  int64_t Integer(const char* name, int64_t otherwise, int64_t low, int64_t high) const;
  std::string Text(const char* name, const std::string& otherwise = "") const;
  // A text or a list of texts.
  std::vector<std::string> Texts(const char* name, size_t most) const;
  // Any object, or null.
  const Json* Object(const char* name) const;

 private:
  const Json& object_;
};

// The whole number that `value` is, 16.0 included, which some clients write; none for other values
// and for what does not fit.
std::optional<int64_t> WholeNumber(const Json& value);

// "a number", as messages call the type of `value`.
std::string TypeName(const Json& value);

}  // namespace quantspec::server
