#include "cli/conversation_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "cli/documents.h"
#include "cli/json.h"
#include "quantspec/error.h"

namespace quantspec::cli {
namespace {

using Role = ChatMessage::Role;
constexpr std::pair<Role, const char*> kRoles[] = {
    {Role::kSystem, "system"}, {Role::kUser, "user"}, {Role::kAssistant, "assistant"}};

[[noreturn]] void Refuse(const std::string& path, const std::string& found) {
  throw Error(ErrorKind::kCorrupt,
              path + ": found " + found +
                  ", expected a JSON list of {\"role\": \"system\", \"user\" or \"assistant\", "
                  "\"content\": TEXT}, as /save writes it");
}

std::string TextOf(const Json& message, const char* key, const std::string& where) {
  const auto found = message.find(key);
  if (found == message.end()) Refuse(where, std::string("no \"") + key + "\"");
  if (!found->is_string()) {
    Refuse(where, std::string("a JSON ") + found->type_name() + " as \"" + key + "\"");
  }
  return found->get<std::string>();
}

ChatMessage MessageOf(const Json& message, const std::string& where) {
  if (!message.is_object()) Refuse(where, std::string("a JSON ") + message.type_name());
  const std::string name = TextOf(message, "role", where);
  for (const auto& [role, text] : kRoles) {
    if (name == text) return {role, TextOf(message, "content", where)};
  }
  Refuse(where, "the role \"" + name + "\"");
}

}  // namespace

void SaveConversation(const std::string& path, std::span<const ChatMessage> messages) {
  Json list = Json::array();
  for (const ChatMessage& message : messages) {
    for (const auto& [role, name] : kRoles) {
      if (role == message.role) list.push_back({{"role", name}, {"content", message.text}});
    }
  }
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  file << list.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  file.close();
  std::error_code failure;
  if (!file.fail()) std::filesystem::rename(part, path, failure);
  if (!file.fail() && !failure) return;
  const std::string why = failure ? failure.message() : std::strerror(errno);
  std::filesystem::remove(part, failure);
  throw Error(ErrorKind::kIo, path + ": cannot be written: " + why);
}

std::vector<ChatMessage> LoadConversation(const std::string& path) {
  const std::string text = ReadDocument(path).text;
  const Json list = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (list.is_discarded()) Refuse(path, "no JSON");
  if (!list.is_array()) Refuse(path, std::string("a JSON ") + list.type_name());
  std::vector<ChatMessage> messages;
  for (const Json& message : list) {
    messages.push_back(
        MessageOf(message, path + ": message " + std::to_string(messages.size() + 1)));
  }
  return messages;
}

}  // namespace quantspec::cli
