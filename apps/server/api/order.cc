#include "server/api/order.h"

#include <algorithm>

namespace quantspec::server {
namespace {

constexpr int kMostAnswers = 16;
constexpr size_t kMostStops = 16;
constexpr size_t kMostStopCharacters = 1024;

// Fields that change what an answer means and that this server does not have: to leave them out
// silently would be worse than to refuse.
constexpr const char* kUnsupported[] = {
    "functions",       "function_call",  "audio",         "grammar",        "json_schema",
    "guided_json",     "guided_regex",   "guided_choice", "guided_grammar", "structured_outputs",
    "response_schema", "prediction",     "lora",          "image_data",     "multimodal_data",
    "use_beam_search", "prompt_logprobs"};

bool IsEmpty(const Json& value) {
  return value.is_null() || ((value.is_array() || value.is_object()) && value.empty()) ||
         (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_boolean() && !value.get<bool>());
}

void RefuseTools(const Fields& fields) {
  const Json* tools = fields.Find("tools");
  if (tools != nullptr && !tools->is_array()) {
    Refuse("tools", "tools: found " + TypeName(*tools) + ", expected a list");
  }
  if (tools != nullptr && !tools->empty()) {
    RefuseUnsupported("tools", "tools are not supported yet; send none or an empty list");
  }
  const Json* choice = fields.Find("tool_choice");
  if (choice == nullptr || (choice->is_string() && (*choice == "none" || *choice == "auto")))
    return;
  RefuseUnsupported("tool_choice", "tool_choice: only none and auto go without tools");
}

void RefuseFormats(const Fields& fields) {
  const Json* format = fields.Object("response_format");
  if (format == nullptr) return;
  const Json type = format->value("type", Json());
  if (type == "text") return;
  RefuseUnsupported("response_format", "response_format: found " + DumpJson(type).substr(0, 80) +
                                           ", but only {\"type\": \"text\"} is supported yet");
}

void RefuseUnknownWork(Dialect dialect, const Fields& fields) {
  for (const char* name : kUnsupported) {
    if (const Json* value = fields.Find(name); value != nullptr && !IsEmpty(*value)) {
      RefuseUnsupported(name, std::string(name) + " is not supported");
    }
  }
  RefuseTools(fields);
  RefuseFormats(fields);
  if (const Json* kinds = fields.Find("modalities");
      kinds != nullptr && *kinds != Json::array({"text"})) {
    RefuseUnsupported("modalities", "modalities: only [\"text\"] is supported");
  }
  if (dialect != Dialect::kText) return;
  if (!fields.Text("suffix").empty()) {
    RefuseUnsupported("suffix", "suffix: this model does not fill in the middle");
  }
  if (fields.Flag("echo", false)) RefuseUnsupported("echo", "echo is not supported");
  if (fields.Integer("best_of", 1, 1, 1000) > fields.Integer("n", 1, 1, 1000)) {
    RefuseUnsupported("best_of", "best_of: expected no more than n");
  }
}

size_t CountCharacters(const std::string& utf8) {
  return static_cast<size_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<std::string> ReadStops(const Fields& fields) {
  std::vector<std::string> stops = fields.Texts("stop", kMostStops);
  std::erase(stops, "");
  for (const std::string& stop : stops) {
    if (const size_t size = CountCharacters(stop); size > kMostStopCharacters) {
      Refuse("stop", "stop: found a text of " + std::to_string(size) +
                         " characters, expected at most " + std::to_string(kMostStopCharacters));
    }
  }
  return stops;
}

}  // namespace

Order ReadOrder(Dialect dialect, const Served& served, std::string_view body,
                uint64_t random_seed) {
  const Json json = ParseObject(body);
  const Fields fields(json);
  Order order;
  order.dialect = dialect;
  RefuseUnknownWork(dialect, fields);
  fields.Text("model");  // any name will do: there is one model
  order.streams = fields.Flag("stream", false);
  if (const Json* options = fields.Object("stream_options")) {
    if (!order.streams) {
      Refuse("stream_options", "stream_options: only allowed when stream is true");
    }
    order.wants_usage = Fields(*options).Flag("include_usage", false);
  }
  order.wants_progress = fields.Flag("return_progress", false) && order.streams;
  order.wants_speed = fields.Flag("timings_per_token", false) && order.streams;
  order.wants_digest = fields.Flag("cache_digest", false);
  order.salt = fields.Text("cache_salt");
  order.answers = static_cast<int>(
      fields.Integer(dialect == Dialect::kNative ? "n_cmpl" : "n", 1, 1, kMostAnswers));
  order.stops = ReadStops(fields);
  order.generate = ReadGenerate(dialect, served, fields, random_seed);
  if (order.generate.max_tokens >= kMostTokens) order.reserve_tokens = kReserveTokens;
  if (dialect == Dialect::kChat) {
    order.prompts.push_back(ReadConversation(served, fields));
  } else {
    order.prompts = ReadPrompts(served, fields);
  }
  if (order.prompts.size() * static_cast<size_t>(order.answers) > kMostPrompts) {
    Refuse("prompt", "prompt: found " + std::to_string(order.prompts.size()) + " prompts with " +
                         std::to_string(order.answers) + " answers each, expected at most " +
                         std::to_string(kMostPrompts) + " answers");
  }
  for (const std::vector<Token>& prompt : order.prompts) {
    if (prompt.empty())
      Refuse(dialect == Dialect::kChat ? "messages" : "prompt", "the prompt is empty");
    if (prompt.size() + 1 > static_cast<size_t>(served.context)) {
      throw ApiFailure(ContextOverflow(prompt.size(), served.context));
    }
  }
  return order;
}

}  // namespace quantspec::server
