// quantspec chat: a conversation, turn by turn, over one cache.
#include <algorithm>

#include "cli/answer.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/output.h"
#include "cli/prompt_store_options.h"

namespace quantspec::cli {
namespace {

struct Options {
  ModelOptions model;
  GenerateOptions generate;
  std::vector<std::string> stops;
  std::vector<std::string> files;
  std::string system;
  std::string chat_template;  // a file
};

constexpr const char* kHelp =
    "/clear  forgets the conversation (documents and system message stay)\n"
    "/exit   ends the program, as Ctrl-D does\n"
    "/help   shows this\n"
    "Ctrl-C  stops an answer\n";

// The conversation so far and the session whose cache holds it.
class Conversation {
 public:
  Conversation(const Options& options, const Engine& engine, const SessionOptions& session)
      : options_(options),
        tokenizer_(engine.file().tokenizer()),
        chat_(*FindChat(engine.file(), ChatMode::kOn)),
        documents_(
            JoinTexts(ReadDocuments(options.files, options.model.quiet), "", Join::kParagraphs)),
        session_(engine.Open(session)) {
    Clear();
  }

  void Clear() {
    session_->Clear();
    held_.clear();
    messages_.clear();
    if (!options_.system.empty()) {
      messages_.push_back({ChatMessage::Role::kSystem, options_.system});
    }
  }

  // Answers `text` on standard output; says so on standard error if there is no room.
  void Ask(const std::string& text) {
    const size_t before = messages_.size();
    messages_.push_back({ChatMessage::Role::kUser, IsFirstTurn() ? WithDocuments(text) : text});
    const std::vector<Token> prompt = chat_.Format(messages_);
    if (prompt.empty()) {
      messages_.resize(before);
      Say("the chat template writes nothing for this message");
      return;
    }
    if (prompt.size() > static_cast<size_t>(session_->context())) {
      messages_.resize(before);
      Say("the conversation with this message needs " + std::to_string(prompt.size()) +
          " tokens, but the context has room for " + std::to_string(session_->context()) +
          "; /clear starts a new conversation");
      return;
    }
    KeepCommonBeginning(prompt);
    const std::span<const Token> rest = std::span(prompt).subspan(held_.size());
    if (!Prefill(*session_, rest, options_.model.quiet)) {
      // The next turn reads the whole conversation again; the engine still has its chunks.
      session_->Clear();
      held_.clear();
      messages_.resize(before);
      return;
    }
    held_ = prompt;
    const Answer answer = GenerateAnswer(*session_, tokenizer_, options_.generate, options_.stops,
                                         [](std::string_view part) { Print(part); });
    held_.insert(held_.end(), answer.result.tokens.begin(), answer.result.tokens.end());
    messages_.push_back({ChatMessage::Role::kAssistant, answer.text});
    if (answer.text.empty() || answer.text.back() != '\n') Print("\n");
    if (answer.result.context_full) {
      Say("the context of " + std::to_string(session_->context()) +
          " tokens is full; /clear starts a new conversation");
    }
  }

 private:
  // Rewinds the session to what it shares with `prompt`, as far as it can; at least one token of
  // the prompt is left to read. What a template writes of an answer may differ from what was
  // generated: thoughts are dropped, spaces trimmed.
  void KeepCommonBeginning(const std::vector<Token>& prompt) {
    const size_t most = std::min(held_.size(), prompt.size() - 1);
    const auto end = held_.begin() + static_cast<std::ptrdiff_t>(most);
    const auto common =
        static_cast<int>(std::mismatch(held_.begin(), end, prompt.begin()).first - held_.begin());
    if (common == static_cast<int>(held_.size())) return;  // the last of them may be pending
    const int length = session_->RewindLength(common);
    session_->Rewind(length);
    held_.resize(static_cast<size_t>(length));
  }
  bool IsFirstTurn() const {
    return std::none_of(messages_.begin(), messages_.end(), [](const ChatMessage& message) {
      return message.role == ChatMessage::Role::kUser;
    });
  }
  std::string WithDocuments(const std::string& text) const {
    const Document documents{"documents", documents_};
    return JoinTexts({&documents, 1}, text, Join::kParagraphs);
  }

  const Options& options_;
  const Tokenizer& tokenizer_;
  const ChatFormat& chat_;
  std::string documents_;
  std::unique_ptr<Session> session_;
  std::vector<ChatMessage> messages_;
  std::vector<Token> held_;  // what the session has read and generated
};

// Throws Error{kMemory} if the context asked for, or any at all, does not fit.
void CheckMemoryBeforeLoading(const Options& options, const ModelFile& file) {
  SessionOptions session = options.model.session;
  if (session.context == 0)
    session.context = std::max(file.Plan(session, options.model.capacity).largest_context, 1);
  CheckMemory(file, session, options.model.capacity);
}

// The context asked for, or as much of the model's as fits into memory beside the weights.
SessionOptions ChooseContext(const Options& options, const Engine& engine) {
  SessionOptions session = options.model.session;
  if (session.context > 0) return session;
  const MemoryPlan plan = engine.Plan(session);
  session.context = plan.context;
  if (plan.largest_context == 0 || plan.largest_context >= plan.context) return session;
  session.context = plan.largest_context;
  if (!options.model.quiet) {
    Say("note: the context is " + std::to_string(session.context) +
        " tokens, the most that fits into memory");
  }
  return session;
}

enum class Next { kGoOn, kLeave };

Next Obey(const std::string& line, Conversation& conversation) {
  if (line == "/exit") return Next::kLeave;
  if (line == "/clear") {
    conversation.Clear();
  } else if (line == "/help") {
    Print(kHelp);
  } else {
    Say("unknown command '" + line + "', expected /clear, /exit or /help");
  }
  return Next::kGoOn;
}

int Talk(const Options& options, Conversation& conversation) {
  const bool is_terminal = StdinIsTerminal() && StdoutIsTerminal();
  if (is_terminal && !options.model.quiet) Print("/help shows the commands.\n");
  LineReader reader;
  for (std::string line;;) {
    ForgetInterrupt();
    if (is_terminal) Print("> ");
    switch (reader.Read(&line)) {
      case LineReader::Result::kEnd:
        if (is_terminal) Print("\n");
        return kExitDone;
      case LineReader::Result::kInterrupted:
        if (!is_terminal) return kExitInterrupted;
        Print("\n(/exit or Ctrl-D ends the program)\n");
        continue;
      case LineReader::Result::kLine:
        break;
    }
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    if (line[0] != '/') {
      conversation.Ask(line);
    } else if (Obey(line, conversation) == Next::kLeave) {
      return kExitDone;
    }
  }
}

int Run(const Options& options) {
  const auto file =
      OpenModel(WithChatTemplate(options.model.engine, options.chat_template), options.model.quiet);
  FindChat(*file, ChatMode::kOn);
  if (std::find(options.files.begin(), options.files.end(), "-") != options.files.end()) {
    throw UsageError("--file: found '-', but standard input is the conversation here");
  }
  CheckMemoryBeforeLoading(options, *file);
  NoteOptions(options.generate, options.model.quiet);
  const auto engine = LoadEngine(file, options.model.capacity, options.model.quiet);
  Conversation conversation(options, *engine, ChooseContext(options, *engine));
  const int code = Talk(options, conversation);
  NotePromptStore(*engine, options.model.quiet);
  return code;
}

}  // namespace

Command AddChat(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model, turn by turn");
  AddTexts(*command, "--file", options->files,
           "a document to talk about, read before the first message; repeatable")
      ->type_name("DOC");
  AddText(*command, "--system", options->system, "a system message for the chat template");
  AddChatTemplate(*command, options->chat_template);
  AddGenerateOptions(*command, options->generate, options->stops);
  AddPromptStoreOptions(*command, options->model.engine);
  AddModelOptions(*command, options->model, JsonOption::kNo);
  command->footer(std::string("Commands in a conversation:\n") + kHelp +
                  "\n"
                  "Examples:\n"
                  "  quantspec chat --model m.gguf\n"
                  "  quantspec chat --model m.gguf --file book.txt --context 16384\n"
                  "  printf 'Hello\\nTell me more\\n' | quantspec chat --model m.gguf --quiet");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
