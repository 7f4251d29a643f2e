// Small JSON files as trees, with the fields of one object read by name.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "io/json_reader.h"
#include "quantspec/error.h"

namespace quantspec {

using JsonTree = nlohmann::ordered_json;

// The value that `in` comes to. Throws Error{kCorrupt}, also for a key that an object has twice.
JsonTree ReadJsonTree(JsonReader& in);
// A whole file of at most 16 MB. Throws Error: kIo, kCorrupt.
JsonTree ReadJsonFile(const std::string& path);

// `tree` for a message: at most 80 bytes of it.
std::string Shown(const JsonTree& tree);

// Reads fields of an object; null counts as absent. Throws Error{kCorrupt} naming file and field
// for values of another type or out of range.
class JsonFields {
 public:
  // `where` begins messages: "FOLDER/config.json: rope_scaling.". Throws if `tree` is no object.
  JsonFields(const JsonTree& tree, std::string where);

  const JsonTree* Find(std::string_view key) const;  // null if absent
  bool Has(std::string_view key) const;              // also with null
  std::optional<std::string> String(std::string_view key) const;
  std::optional<int64_t> Whole(std::string_view key, int64_t least, int64_t most) const;
  int64_t NeededWhole(std::string_view key, int64_t least, int64_t most) const;
  std::optional<double> Number(std::string_view key) const;  // finite
  double Positive(std::string_view key, double otherwise) const;
  bool Bool(std::string_view key, bool otherwise) const;

  const std::string& where() const { return where_; }
  [[noreturn]] void Bad(std::string_view key, const std::string& found,
                        const std::string& expected) const;
  // Throws kUnsupported: "... is not supported".
  [[noreturn]] void Refuse(std::string_view key, const std::string& found,
                           const std::string& missing) const;

 private:
  const JsonTree& tree_;
  std::string where_;
};

}  // namespace quantspec
