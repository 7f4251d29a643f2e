#include "text/chat_messages.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "quantspec/error.h"
#include "text/jinja/json_values.h"

namespace quantspec {
namespace {

using jinja::Origin;
using jinja::Value;
using Json = nlohmann::ordered_json;

constexpr std::string_view kRoles[] = {"system",    "user",  "assistant",  "tool",
                                       "developer", "bot",   "model",      "function",
                                       "ipython",   "human", "observation"};
constexpr const char* kThoughtNames[] = {"reasoning_content", "thinking", "reasoning"};

Json Parse(const std::string& text, const std::string& what) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kUsage, what + ": found no JSON: " + std::string(error.what()));
  }
}

Json ParseList(const std::string& text, const std::string& what) {
  Json json = Parse(text, what);
  if (!json.is_array()) {
    throw Error(ErrorKind::kUsage,
                what + ": found a JSON " + json.type_name() + ", expected a list of objects");
  }
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i].is_object()) continue;
    throw Error(ErrorKind::kUsage, what + ": found a JSON " + json[i].type_name() + " at " +
                                       std::to_string(i) + ", expected an object");
  }
  return json;
}

Value Convert(const Json& json, const std::string& what) {
  try {
    return jinja::FromJson(json, Origin::kValue);
  } catch (const jinja::Failure& failure) {
    throw Error(ErrorKind::kUsage, what + ": " + failure.what());
  }
}

// Thoughts stand under several names; templates read one or another.
Json WithThoughts(const Json& message) {
  for (const char* name : kThoughtNames) {
    const auto found = message.find(name);
    if (found == message.end()) continue;
    Json changed = Json::object();
    if (!message.contains("thinking")) changed["thinking"] = *found;
    for (const auto& [key, value] : message.items()) changed[key] = value;
    changed["reasoning_content"] = *found;
    return changed;
  }
  return message;
}

Value RoleText(const std::string& role) {
  const bool is_known = std::find(std::begin(kRoles), std::end(kRoles), role) != std::end(kRoles);
  return Value(role, is_known ? Origin::kTemplate : Origin::kValue);
}

}  // namespace

Value MessagesOf(std::span<const ChatMessage> messages) {
  jinja::Values list;
  for (const ChatMessage& message : messages) {
    const auto dict = std::make_shared<jinja::Dict>();
    const char* role = message.role == ChatMessage::Role::kSystem ? "system"
                       : message.role == ChatMessage::Role::kUser ? "user"
                                                                  : "assistant";
    dict->Set(Value("role", Origin::kTemplate), RoleText(role));
    dict->Set(Value("content", Origin::kTemplate), Value(message.text, Origin::kValue));
    list.emplace_back(dict);
  }
  return jinja::MakeList(std::move(list));
}

Value MessagesOf(const std::string& text) {
  const Json json = ParseList(text, "messages");
  jinja::Values list;
  for (const Json& message : json) {
    Json kept = Json::object();
    for (const auto& [key, value] : message.items()) {
      if (!value.is_null()) kept[key] = value;
    }
    const Value converted = Convert(WithThoughts(kept), "messages");
    const auto dict = std::make_shared<jinja::Dict>(*converted.dict());
    const Value* role = dict->Find("role");
    if (role != nullptr && role->is_text()) {
      dict->Set(Value("role", Origin::kValue), RoleText(role->bytes()));
    }
    list.emplace_back(dict);
  }
  return jinja::MakeList(std::move(list));
}

Value ToolsOf(const std::string& text) {
  return text.empty() ? Value() : Convert(ParseList(text, "tools"), "tools");
}

jinja::Variables VariablesOf(const std::string& text) {
  jinja::Variables variables;
  if (text.empty()) return variables;
  const std::string what = "variables of the template";
  const Json json = Parse(text, what);
  if (!json.is_object()) {
    throw Error(ErrorKind::kUsage,
                what + ": found a JSON " + json.type_name() + ", expected an object");
  }
  for (const auto& [name, value] : json.items()) {
    variables.emplace_back(name, Convert(value, what));
  }
  return variables;
}

}  // namespace quantspec
