// Conversations as a template sees them.
#pragma once

#include <span>
#include <string>

#include "quantspec/text.h"
#include "text/jinja/jinja.h"

namespace quantspec {

// The value of `messages`. Names of roles that everyone knows count as written by the template,
// since many build special tokens out of them; all else is data.
jinja::Value MessagesOf(std::span<const ChatMessage> messages);
// From JSON, prepared as Hugging Face's transformers does: keys without a value are dropped,
// thoughts are found under all their names. Throws Error{kUsage} naming what is no conversation.
jinja::Value MessagesOf(const std::string& json);
// The value of `tools`: None for an empty text. Throws Error{kUsage}.
jinja::Value ToolsOf(const std::string& json);
// More variables of a template, from a JSON object or an empty text. Throws Error{kUsage}.
jinja::Variables VariablesOf(const std::string& json);

}  // namespace quantspec
