#include "text/jinja/json_values.h"

#include <limits>

namespace quantspec::jinja {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kDeepest = 100;

Value Convert(const Json& json, Origin origin, int depth) {
  if (depth > kDeepest) throw Failure("found JSON nested more than 100 deep");
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()}) {
        throw Failure("found the number " + json.dump() + ", expected one below 2^63");
      }
      return Value(json.get<int64_t>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return Value(json.get_ref<const std::string&>(), origin);
    case Json::value_t::array: {
      Values items;
      for (const Json& one : json) items.push_back(Convert(one, origin, depth + 1));
      return MakeList(std::move(items));
    }
    case Json::value_t::object: {
      const auto dict = std::make_shared<Dict>();
      for (const auto& [name, one] : json.items()) {
        dict->Append(Value(name, origin), Convert(one, origin, depth + 1));
      }
      return Value(dict);
    }
    default:
      return Value();
  }
}

}  // namespace

Value FromJson(const Json& json, Origin origin) { return Convert(json, origin, 0); }

}  // namespace quantspec::jinja
