// What a line that begins with '/' does in a conversation.
#pragma once

#include <string>

#include "cli/conversation.h"

namespace quantspec::cli {

// Lines that explain them, for a terminal and for --help.
extern const char* const kChatCommands;

// Lines with "//" in front are messages, and so are several lines, except those of /system.
bool IsCommand(const std::string& line);

enum class Next { kGoOn, kLeave };

// Throws Error for a command that cannot be done; one that is not known is told on standard error.
Next ObeyCommand(const std::string& line, Conversation& conversation, bool quiet);

}  // namespace quantspec::cli
