#include "cli/answer.h"

#include <algorithm>

#include "cli/arguments.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace quantspec::cli {

const ChatFormat* FindChat(const ModelFile& file, ChatMode mode) {
  if (mode == ChatMode::kOff) return nullptr;
  const ChatFormat* chat = file.chat();
  if (chat == nullptr && mode == ChatMode::kOn) {
    throw Error(ErrorKind::kUnsupported,
                "this model has no chat template; give it raw text with generate --chat off");
  }
  return chat;
}

void AddChatTemplate(CLI::App& app, std::string& path) {
  AddText(app, "--chat-template", path, "a chat template (Jinja) to use instead of the model's")
      ->type_name("FILE");
}

EngineOptions WithChatTemplate(const EngineOptions& options, const std::string& path) {
  EngineOptions changed = options;
  if (path.empty()) return changed;
  changed.chat_template = ReadDocument(path).text;
  if (changed.chat_template.empty()) {
    throw Error(ErrorKind::kUsage, path + ": found an empty file, expected a chat template");
  }
  return changed;
}

std::vector<ChatMessage> FirstTurn(const std::string& system, const std::string& user) {
  std::vector<ChatMessage> messages;
  if (!system.empty()) messages.push_back({ChatMessage::Role::kSystem, system});
  messages.push_back({ChatMessage::Role::kUser, user});
  return messages;
}

std::vector<Token> EncodeRaw(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<Token> tokens = tokenizer.Encode(text, SpecialTokens::kAsText);
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0) tokens.insert(tokens.begin(), tokenizer.bos());
  return tokens;
}

std::vector<Document> ReadDocuments(std::span<const std::string> paths, bool quiet) {
  if (std::count(paths.begin(), paths.end(), "-") > 1) {
    throw UsageError("--file: standard input ('-') can be read only once");
  }
  std::vector<Document> documents;
  for (const std::string& path : paths) {
    documents.push_back(ReadDocument(path));
    if (documents.back().text.empty() && !quiet) {
      Say("note: " + documents.back().name + " is empty");
    }
    const auto warning = CheckText(documents.back());
    if (warning && !quiet) Say("warning: " + *warning);
  }
  return documents;
}

Answer GenerateAnswer(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
                      const std::vector<std::string>& stops,
                      const std::function<void(std::string_view)>& show) {
  Answer answer;
  TextStream stream(tokenizer);
  StopText stop(stops);
  const auto emit = [&](const std::string& text) {
    answer.text += text;
    if (!text.empty()) show(text);
  };
  answer.result = session.Generate(options, [&](Token token) {
    if (!tokenizer.IsSpecial(token)) emit(stop.Push(stream.Push(token)));
    return !stop.found() && !Interrupted();
  });
  emit(stop.Push(stream.Finish()));
  emit(stop.Finish());

  answer.tokens = answer.result.tokens;
  answer.finish = stop.found() ? FinishReason::kStop : answer.result.finish;
  if (!options.ignore_end && !answer.tokens.empty() && tokenizer.IsEnd(answer.tokens.back())) {
    answer.tokens.pop_back();
  }
  return answer;
}

}  // namespace quantspec::cli
