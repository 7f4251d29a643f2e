#include <algorithm>
#include <utility>

#include "server/api/order.h"

namespace quantspec::server {
namespace {

// Content as one text: templates know nothing of parts.
Json ContentText(const Json& content, const std::string& where) {
  if (content.is_null() || content.is_string()) return content;
  if (!content.is_array()) {
    Refuse("messages",
           where + ".content: found " + TypeName(content) + ", expected a text or a list of parts");
  }
  std::string text;
  bool is_first = true;
  for (const Json& part : content) {
    const Json type = part.is_object() ? part.value("type", Json()) : Json();
    if (type != "text" && type != "input_text" && type != "refusal") {
      RefuseUnsupported("messages", where + ".content: found a part of type " +
                                        DumpJson(type).substr(0, 60) +
                                        ", but this model reads text only");
    }
    const char* field = type == "refusal" ? "refusal" : "text";
    if (!part.contains(field) || !part[field].is_string()) {
      Refuse("messages",
             where + ".content: expected a part of type " + DumpJson(type) + " to have a " + field);
    }
    text += (is_first ? "" : "\n") + part[field].get<std::string>();
    is_first = false;
  }
  return text;
}

// A message as templates know it.
Json MessageOf(const Json& message, size_t index) {
  const std::string where = "messages[" + std::to_string(index) + "]";
  if (!message.is_object()) {
    Refuse("messages", where + ": found " + TypeName(message) + ", expected an object");
  }
  const Json role = message.value("role", Json());
  static constexpr const char* kRoles[] = {"system",    "developer", "user",
                                           "assistant", "tool",      "function"};
  if (!role.is_string() || std::none_of(std::begin(kRoles), std::end(kRoles),
                                        [&](const char* known) { return role == known; })) {
    Refuse("messages", where + ".role: found " + DumpJson(role).substr(0, 60) +
                           ", expected system, developer, user, assistant or tool");
  }
  Json changed = message;
  if (role == "developer") changed["role"] = "system";
  const bool may_lack_content = role == "assistant";
  const Json content = message.value("content", Json());
  if (content.is_null() && !may_lack_content) {
    Refuse("messages", where + ".content: missing, expected a text");
  }
  changed["content"] = ContentText(content, where);
  // Most templates read the content of every message, but for one that calls tools instead.
  if (content.is_null() && message.value("tool_calls", Json()).empty()) changed["content"] = "";
  return changed;
}

// Gives messages without content an empty one; false if all have some.
bool FillContents(Json* messages) {
  bool is_changed = false;
  for (Json& message : *messages) {
    if (!message["content"].is_null()) continue;
    message["content"] = "";
    is_changed = true;
  }
  return is_changed;
}

std::vector<Token> RenderTokens(const ChatTemplate& chat, ChatRequest request, Json messages) {
  try {
    request.messages = DumpJson(messages);
    return chat.Render(request).tokens;
  } catch (const Error&) {
    // Templates that know no tools read the content of a message that calls some, too.
    if (!FillContents(&messages)) throw;
  }
  request.messages = DumpJson(messages);
  return chat.Render(request).tokens;
}

Json TemplateVariables(const Fields& fields) {
  Json variables = Json::object();
  if (const Json* given = fields.Object("chat_template_kwargs")) variables = *given;
  const std::string effort = fields.Text("reasoning_effort");
  if (!effort.empty() && !variables.contains("reasoning_effort")) {
    variables["reasoning_effort"] = effort;
  }
  return variables;
}

}  // namespace

std::vector<Token> ReadTokens(const std::string& param, const Json& list, int vocab) {
  std::vector<Token> tokens;
  tokens.reserve(list.size());
  for (const Json& token : list) {
    const int64_t id = WholeNumber(token).value_or(-1);
    if (id < 0 || id >= vocab) {
      Refuse(param, param + ": found " + DumpJson(token).substr(0, 40) +
                        " in a list of tokens, expected 0 to " + std::to_string(vocab - 1));
    }
    tokens.push_back(static_cast<Token>(id));
  }
  return tokens;
}

std::vector<Token> ReadConversation(const Served& served, const Fields& fields) {
  const Json* messages = fields.Find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    Refuse("messages", "messages: found " +
                           (messages == nullptr    ? std::string("none")
                            : messages->is_array() ? "an empty list"
                                                   : TypeName(*messages)) +
                           ", expected a list of messages");
  }
  const ChatTemplate* chat = served.file->chat();
  if (chat == nullptr) {
    RefuseUnsupported("messages",
                      "this model has no chat template; use /v1/completions, or start the server "
                      "with --chat-template FILE");
  }
  Json list = Json::array();
  for (size_t i = 0; i < messages->size(); ++i) list.push_back(MessageOf((*messages)[i], i));
  ChatRequest request;
  // Another server's name for leaving the last message open.
  request.add_generation_prompt = fields.Flag("add_generation_prompt", true);
  const Json variables = TemplateVariables(fields);
  if (!variables.empty()) request.variables = DumpJson(variables);
  return RenderTokens(*chat, std::move(request), std::move(list));
}

std::vector<Token> EncodeRawPrompt(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> tokens = tokenizer.Encode(text, SpecialTokens::kParse);
  const bool has_bos = !tokens.empty() && tokens.front() == tokenizer.bos();
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0 && !has_bos) {
    tokens.insert(tokens.begin(), tokenizer.bos());
  }
  return tokens;
}

std::vector<std::vector<Token>> ReadPrompts(const Served& served, const Fields& fields) {
  const Tokenizer& tokenizer = served.file->tokenizer();
  const Json* prompt = fields.Find("prompt");
  if (prompt == nullptr) Refuse("prompt", "prompt: missing, expected a text or tokens");
  if (prompt->is_string()) {
    return {EncodeRawPrompt(tokenizer, prompt->get_ref<const std::string&>())};
  }
  if (!prompt->is_array() || prompt->empty()) {
    Refuse("prompt", "prompt: found " + (prompt->is_array() ? "an empty list" : TypeName(*prompt)) +
                         ", expected a text, a list of texts, or tokens");
  }
  if (prompt->front().is_number()) return {ReadTokens("prompt", *prompt, tokenizer.vocab())};
  if (prompt->size() > kMostPrompts) {
    Refuse("prompt", "prompt: found " + std::to_string(prompt->size()) +
                         " prompts, expected at most " + std::to_string(kMostPrompts));
  }
  std::vector<std::vector<Token>> prompts;
  for (const Json& one : *prompt) {
    if (one.is_string()) {
      prompts.push_back(EncodeRawPrompt(tokenizer, one.get_ref<const std::string&>()));
    } else if (one.is_array()) {
      prompts.push_back(ReadTokens("prompt", one, tokenizer.vocab()));
    } else {
      Refuse("prompt", "prompt: found " + TypeName(one) + " in the list, expected texts or tokens");
    }
  }
  return prompts;
}

}  // namespace quantspec::server
