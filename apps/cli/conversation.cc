#include "cli/conversation.h"

#include <algorithm>
#include <span>
#include <utility>

#include "cli/output.h"

namespace quantspec::cli {

Conversation::Conversation(const ConversationOptions& options, const Engine& engine,
                           const SessionOptions& session, std::vector<Document> documents)
    : options_(options),
      tokenizer_(engine.file().tokenizer()),
      chat_(*FindChat(engine.file(), ChatMode::kOn)),
      documents_(std::move(documents)),
      session_(engine.Open(session)) {
  SetSystem(options.system);
}

void Conversation::Clear() {
  Forget();
  const std::string system = HasSystem() ? messages_.front().text : "";
  messages_.clear();
  SetSystem(system);
  read_documents_ = 0;
}

bool Conversation::HasSystem() const {
  return !messages_.empty() && messages_.front().role == ChatMessage::Role::kSystem;
}

void Conversation::SetSystem(const std::string& text) {
  if (HasSystem()) messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), {ChatMessage::Role::kSystem, text});
}

void Conversation::SetMessages(std::vector<ChatMessage> messages) {
  messages_ = std::move(messages);
  read_documents_ = documents_.size();
}

void Conversation::Ask(const std::string& text) {
  std::vector<ChatMessage> messages = messages_;
  messages.push_back({ChatMessage::Role::kUser, WithNewDocuments(text)});
  const std::vector<Token> prompt = chat_.Format(messages);
  if (!HasRoom(prompt)) return;
  KeepCommonBeginning(prompt);
  try {
    if (Answered(prompt, &messages)) {
      messages_ = std::move(messages);
      read_documents_ = documents_.size();
      return;
    }
  } catch (...) {
    Forget();
    throw;
  }
  Forget();
}

// Reads the prompt and generates; false if reading was stopped.
bool Conversation::Answered(const std::vector<Token>& prompt, std::vector<ChatMessage>* messages) {
  const std::span<const Token> rest = std::span(prompt).subspan(held_.size());
  if (!Prefill(*session_, rest, options_.model.quiet)) return false;
  held_ = prompt;
  const Answer answer = GenerateAnswer(*session_, tokenizer_, options_.generate, options_.stops,
                                       [](std::string_view part) { Print(part); });
  held_.insert(held_.end(), answer.result.tokens.begin(), answer.result.tokens.end());
  messages->push_back({ChatMessage::Role::kAssistant, answer.text});
  if (answer.text.empty() || answer.text.back() != '\n') Print("\n");
  if (answer.result.context_full) {
    Say("the context of " + std::to_string(session_->context()) +
        " tokens is full; /clear starts a new conversation");
  }
  return true;
}

// The next turn reads the whole conversation again; the engine still has its chunks.
void Conversation::Forget() {
  session_->Clear();
  held_.clear();
}

bool Conversation::HasRoom(const std::vector<Token>& prompt) const {
  if (prompt.empty()) {
    Say("the chat template writes nothing for this message");
    return false;
  }
  if (prompt.size() <= static_cast<size_t>(session_->context())) return true;
  Say("the conversation with this message needs " + std::to_string(prompt.size()) +
      " tokens, but the context has room for " + std::to_string(session_->context()) +
      "; /clear starts a new conversation");
  return false;
}

// Rewinds the session to what it shares with `prompt`, as far as it can; at least one token of the
// prompt is left to read. What a template writes of an answer may differ from what was generated:
// thoughts are dropped, spaces trimmed.
void Conversation::KeepCommonBeginning(const std::vector<Token>& prompt) {
  const size_t most = std::min(held_.size(), prompt.size() - 1);
  const auto end = held_.begin() + static_cast<std::ptrdiff_t>(most);
  const auto common =
      static_cast<int>(std::mismatch(held_.begin(), end, prompt.begin()).first - held_.begin());
  if (common == static_cast<int>(held_.size())) return;  // the last of them may be pending
  const int length = session_->RewindLength(common);
  session_->Rewind(length);
  held_.resize(static_cast<size_t>(length));
}

std::string Conversation::WithNewDocuments(const std::string& text) const {
  return JoinTexts(std::span(documents_).subspan(read_documents_), text, Join::kParagraphs);
}

}  // namespace quantspec::cli
