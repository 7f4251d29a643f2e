// Conversations as files: a JSON list of {"role": ..., "content": ...}, as `template` reads them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "quantspec/text.h"

namespace quantspec::cli {

// Replaces the file at `path`, at once and whole. Throws Error{kIo}.
void SaveConversation(const std::string& path, std::span<const ChatMessage> messages);

// Throws Error: kIo, and kCorrupt for what is no such list, or has roles besides system, user and
// assistant, or contents that are no text.
std::vector<ChatMessage> LoadConversation(const std::string& path);

}  // namespace quantspec::cli
