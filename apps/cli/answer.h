// From documents and a question to a prompt, and from generated tokens to shown text.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/documents.h"
#include "quantspec/engine.h"

namespace quantspec::cli {

enum class ChatMode { kAuto, kOn, kOff };

// The chat format to use, or null for raw text. Throws Error{kUnsupported} if `mode` asks for one
// that the model does not have.
const ChatFormat* FindChat(const ModelFile& file, ChatMode mode);

// --chat-template FILE
void AddChatTemplate(CLI::App& app, std::string& path);
// `options` with the template in the file at `path`, if there is a path. Throws Error{kIo}, or
// Error{kUsage} for an empty file.
EngineOptions WithChatTemplate(const EngineOptions& options, const std::string& path);

// Messages of a first turn; `system` may be empty.
std::vector<ChatMessage> FirstTurn(const std::string& system, const std::string& user);
// Tokens of raw text, with the BOS that the model's metadata asks for.
std::vector<Token> EncodeRaw(const Tokenizer& tokenizer, std::string_view text);

// Reads the documents, checks that they are text and warns of small faults unless `quiet`.
// Standard input may be named once: UsageError.
std::vector<Document> ReadDocuments(std::span<const std::string> paths, bool quiet);

struct Answer {
  GenerateResult result;
  std::vector<Token> tokens;  // all but an end token
  std::string text;           // up to a stop text, special tokens left out
  FinishReason finish = FinishReason::kStop;
};

// Generates and passes text on to `show` as soon as it is sure to belong to the answer. What
// `show` throws ends generation.
Answer GenerateAnswer(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
                      const std::vector<std::string>& stops,
                      const std::function<void(std::string_view)>& show);

}  // namespace quantspec::cli
