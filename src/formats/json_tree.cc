#include "formats/json_tree.h"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <unordered_set>
#include <utility>

#include "formats/whole_file.h"
#include "io/byte_cursor.h"

namespace quantspec {
namespace {

constexpr uint64_t kMostFileBytes = uint64_t{16} << 20;

JsonTree NumberOf(JsonReader& in) {
  const std::string_view text = in.Number();
  const char* const end = text.data() + text.size();
  int64_t whole = 0;
  const auto read = std::from_chars(text.data(), end, whole);
  if (read.ec == std::errc() && read.ptr == end) return whole;
  double value = 0.0;
  if (std::from_chars(text.data(), end, value).ec != std::errc() || !std::isfinite(value)) {
    in.Fail("\"" + Printable(text) + "\"", "a number that 64 bits can hold");
  }
  return value;
}

}  // namespace

JsonTree ReadJsonTree(JsonReader& in) {
  switch (in.Peek()) {
    case JsonKind::kObject: {
      JsonTree tree = JsonTree::object();
      // Looking keys up in the tree itself takes time that grows with the square of their number.
      auto& members = tree.get_ref<JsonTree::object_t&>();
      std::unordered_set<std::string> names;
      in.EnterObject();
      for (std::string_view key; in.NextKey(&key);) {
        std::string name(key);
        if (!names.insert(name).second) {
          in.Fail("key \"" + Printable(key) + "\" again", "it once");
        }
        JsonTree value = ReadJsonTree(in);
        members.emplace_back(std::move(name), std::move(value));
      }
      return tree;
    }
    case JsonKind::kArray: {
      JsonTree tree = JsonTree::array();
      in.EnterArray();
      while (in.NextElement()) tree.push_back(ReadJsonTree(in));
      return tree;
    }
    case JsonKind::kString:
      return std::string(in.String());
    case JsonKind::kNumber:
      return NumberOf(in);
    case JsonKind::kNull:
      in.Null();
      return nullptr;
    default:
      return in.Bool();
  }
}

JsonTree ReadJsonFile(const std::string& path) {
  const std::string text = ReadWholeFile(path, kMostFileBytes);
  JsonReader in(text, path);
  JsonTree tree = ReadJsonTree(in);
  in.Finish();
  return tree;
}

std::string Shown(const JsonTree& tree) {
  constexpr size_t kMost = 80;
  std::string text = tree.dump(-1, ' ', true, JsonTree::error_handler_t::replace);
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  return text;
}

JsonFields::JsonFields(const JsonTree& tree, std::string where)
    : tree_(tree), where_(std::move(where)) {
  if (tree.is_object()) return;
  throw Error(ErrorKind::kCorrupt,
              where_ + ": found " + Shown(tree) + ", expected an object; fetch the file again");
}

const JsonTree* JsonFields::Find(std::string_view key) const {
  const auto at = tree_.find(std::string(key));
  return at == tree_.end() || at->is_null() ? nullptr : &*at;
}

bool JsonFields::Has(std::string_view key) const { return tree_.contains(std::string(key)); }

void JsonFields::Bad(std::string_view key, const std::string& found,
                     const std::string& expected) const {
  throw Error(ErrorKind::kCorrupt, where_ + ": " + std::string(key) + ": found " + found +
                                       ", expected " + expected +
                                       "; the file is damaged or was written wrongly");
}

void JsonFields::Refuse(std::string_view key, const std::string& found,
                        const std::string& missing) const {
  throw Error(ErrorKind::kUnsupported, where_ + ": " + std::string(key) + ": found " + found +
                                           ": " + missing + " is not supported");
}

std::optional<std::string> JsonFields::String(std::string_view key) const {
  const JsonTree* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) Bad(key, Shown(*value), "a string");
  return value->get<std::string>();
}

std::optional<int64_t> JsonFields::Whole(std::string_view key, int64_t least, int64_t most) const {
  const JsonTree* value = Find(key);
  if (value == nullptr) return std::nullopt;
  // Some writers give whole numbers as 4096.0.
  const bool is_whole_float = value->is_number_float() &&
                              std::floor(value->get<double>()) == value->get<double>() &&
                              std::abs(value->get<double>()) < 1e15;
  if (!value->is_number_integer() && !is_whole_float) Bad(key, Shown(*value), "a whole number");
  const auto number =
      is_whole_float ? static_cast<int64_t>(value->get<double>()) : value->get<int64_t>();
  if (number < least || number > most) {
    Bad(key, std::to_string(number), std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

int64_t JsonFields::NeededWhole(std::string_view key, int64_t least, int64_t most) const {
  const auto value = Whole(key, least, most);
  if (!value) Bad(key, "none", "a whole number");
  return *value;
}

std::optional<double> JsonFields::Number(std::string_view key) const {
  const JsonTree* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) Bad(key, Shown(*value), "a number");
  return value->get<double>();
}

double JsonFields::Positive(std::string_view key, double otherwise) const {
  const double value = Number(key).value_or(otherwise);
  if (!(value > 0)) Bad(key, std::to_string(value), "a number above 0");
  return value;
}

bool JsonFields::Bool(std::string_view key, bool otherwise) const {
  const JsonTree* value = Find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) Bad(key, Shown(*value), "true or false");
  return value->get<bool>();
}

}  // namespace quantspec
