// The conversation of `chat` and the session whose cache holds it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "cli/common.h"
#include "cli/documents.h"
#include "quantspec/engine.h"

namespace quantspec::cli {

struct ConversationOptions {
  ModelOptions model;
  GenerateOptions generate;
  std::vector<std::string> stops;
  std::string system;  // empty: none
};

class Conversation {
 public:
  // `options` must outlive this. Throws Error{kUnsupported} for a model without a chat template.
  Conversation(const ConversationOptions& options, const Engine& engine,
               const SessionOptions& session, std::vector<Document> documents);

  // Forgets all messages; documents and system message stay.
  void Clear();
  // Read in front of the next message, and again after Clear.
  void AddDocument(Document document) { documents_.push_back(std::move(document)); }
  // Of this conversation, from the next message on; empty: none.
  void SetSystem(const std::string& text);
  // Takes these for what was said so far; documents count as read.
  void SetMessages(std::vector<ChatMessage> messages);
  const std::vector<ChatMessage>& messages() const { return messages_; }

  // Answers `text` on standard output; says so on standard error if there is no room. Throws what
  // the template throws; nothing has been said then.
  void Ask(const std::string& text);

 private:
  bool HasSystem() const;
  bool HasRoom(const std::vector<Token>& prompt) const;
  bool Answered(const std::vector<Token>& prompt, std::vector<ChatMessage>* messages);
  void Forget();
  void KeepCommonBeginning(const std::vector<Token>& prompt);
  std::string WithNewDocuments(const std::string& text) const;

  const ConversationOptions& options_;
  const Tokenizer& tokenizer_;
  const ChatFormat& chat_;
  std::vector<Document> documents_;
  size_t read_documents_ = 0;  // the first ones, which are part of the messages
  std::unique_ptr<Session> session_;
  std::vector<ChatMessage> messages_;
  std::vector<Token> held_;  // what the session has read and generated
};

}  // namespace quantspec::cli
