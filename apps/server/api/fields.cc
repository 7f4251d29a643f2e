#include "server/api/fields.h"

#include <cmath>

namespace quantspec::server {
namespace {

constexpr size_t kShownBytes = 160;  // of the parser's message, which may quote the request

struct Counts {
  int depth = 0, keys = 0, values = 0;
};

// Brackets, colons and commas outside of texts; stops at the first limit that is exceeded.
std::optional<std::string> FindExcess(std::string_view body) {
  Counts counts;
  bool is_text = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (is_text) {
      if (c == '\\') ++i;
      if (c == '"') is_text = false;
      continue;
    }
    switch (c) {
      case '"':
        is_text = true;
        break;
      case '[':
      case '{':
        if (++counts.depth > kMostJsonDepth) {
          return "is deeper than " + std::to_string(kMostJsonDepth) + " levels";
        }
        ++counts.values;
        break;
      case ']':
      case '}':
        --counts.depth;
        break;
      case ':':
        if (++counts.keys > kMostJsonKeys) {
          return "has more than " + std::to_string(kMostJsonKeys) + " fields";
        }
        break;
      case ',':
        ++counts.values;
        break;
      default:
        break;
    }
    if (counts.values > kMostJsonValues) {
      return "has more than " + std::to_string(kMostJsonValues) + " values";
    }
  }
  return std::nullopt;
}

[[noreturn]] void WrongType(const char* name, const Json& found, const std::string& expected) {
  Refuse(name, std::string(name) + ": found " + TypeName(found) + ", expected " + expected);
}

std::string Show(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace

std::optional<int64_t> WholeNumber(const Json& value) {
  constexpr double kBeyond = 9223372036854775808.0;  // 2^63
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  if (std::trunc(number) != number || number < -kBeyond || number >= kBeyond) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::string TypeName(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "a text";
  if (value.is_boolean()) return "a boolean";
  if (value.is_null()) return "null";
  return "a number";
}

Json ParseObject(std::string_view body) {
  if (const auto excess = FindExcess(body)) Refuse("", "the JSON of the request " + *excess);
  Json json;
  try {
    json = Json::parse(body);
  } catch (const Json::exception& error) {
    const std::string reason = std::string(error.what()).substr(0, kShownBytes);
    Refuse("", "the body of the request is no JSON: " + reason);
  }
  if (!json.is_object()) {
    Refuse("", "the body of the request is " + TypeName(json) + ", expected an object");
  }
  return json;
}

const Json* Fields::Find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::Flag(const char* name, bool otherwise) const {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) WrongType(name, *value, "true or false");
  return value->get<bool>();
}

double Fields::Number(const char* name, double otherwise, double low, double high) const {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) WrongType(name, *value, "a number");
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    Refuse(name, std::string(name) + ": found " + Show(number) + ", expected " + Show(low) +
                     " to " + Show(high));
  }
  return number;
}

int64_t Fields::Integer(const char* name, int64_t otherwise, int64_t low, int64_t high) const {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) WrongType(name, *value, "a whole number");
  const std::optional<int64_t> number = WholeNumber(*value);
  if (!number || *number < low || *number > high) {
    Refuse(name, std::string(name) + ": found " + Show(value->get<double>()) +
                     ", expected a whole number from " + std::to_string(low) + " to " +
                     std::to_string(high));
  }
  return *number;
}

std::string Fields::Text(const char* name, const std::string& otherwise) const {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) WrongType(name, *value, "a text");
  return value->get<std::string>();
}

std::vector<std::string> Fields::Texts(const char* name, size_t most) const {
  const Json* value = Find(name);
  std::vector<std::string> texts;
  if (value == nullptr) return texts;
  if (value->is_string()) {
    texts.push_back(value->get<std::string>());
    return texts;
  }
  if (!value->is_array()) WrongType(name, *value, "a text or a list of texts");
  if (value->size() > most) {
    Refuse(name, std::string(name) + ": found " + std::to_string(value->size()) +
                     " texts, expected at most " + std::to_string(most));
  }
  for (const Json& text : *value) {
    if (!text.is_string()) WrongType(name, text, "a list of texts");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

const Json* Fields::Object(const char* name) const {
  const Json* value = Find(name);
  if (value != nullptr && !value->is_object()) WrongType(name, *value, "an object");
  return value;
}

}  // namespace quantspec::server
