// Records of JSON files that may be far larger than memory.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace quantspec::eval {

struct JsonRecord {
  std::string where;  // for messages: "file:12" or "file: value 3"
  std::string key;    // of a member of an object
  nlohmann::json value;

  // The text of a field. Throws Error{kCorrupt} if it is missing or no text.
  const std::string& Text(const char* field) const;
  // The same, or "" where it is missing or null.
  std::string TextOr(const char* field) const;
};

// Returning false ends the reading.
using OnRecord = std::function<bool(JsonRecord& record)>;

// One JSON value a line; blank lines are left out. Throws Error: kIo, kCorrupt.
void ReadJsonLines(const std::string& path, const OnRecord& on_record);
// The elements of one array, or the members of one object; holds one of them at a time.
void ReadJsonValues(const std::string& path, const OnRecord& on_record);

}  // namespace quantspec::eval
