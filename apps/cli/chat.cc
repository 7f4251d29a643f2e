// quantspec chat: a conversation, turn by turn, over one cache.
#include <algorithm>

#include "cli/answer.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

struct Options {
  ModelOptions model;
  GenerateOptions generate;
  std::vector<std::string> stops;
  std::vector<std::string> files;
  std::string system;
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
    messages_.clear();
    if (!options_.system.empty()) {
      messages_.push_back({ChatMessage::Role::kSystem, options_.system});
    }
  }

  // Answers `text` on standard output; says so on standard error if there is no room.
  void Ask(const std::string& text) {
    const size_t before = messages_.size();
    messages_.push_back({ChatMessage::Role::kUser, IsFirstTurn() ? WithDocuments(text) : text});
    const std::vector<Token> prompt = session_->length() == 0
                                          ? chat_.Format(messages_)
                                          : chat_.Continue(messages_.back(), ended_);
    // The last generated token is not in the cache yet.
    const int behind = session_->length() == 0 ? 0 : 1;
    const int room = session_->context() - session_->length() - behind;
    if (static_cast<int64_t>(prompt.size()) > room) {
      messages_.resize(before);
      Say("the context of " + std::to_string(session_->context()) + " tokens has room for " +
          std::to_string(std::max(room, 0)) + ", but this message needs " +
          std::to_string(prompt.size()) + "; /clear starts a new conversation");
      return;
    }
    if (!Prefill(*session_, prompt, options_.model.quiet)) {
      // The next turn reads the whole conversation again; the engine still has its chunks.
      session_->Clear();
      messages_.resize(before);
      return;
    }
    const Answer answer = GenerateAnswer(*session_, tokenizer_, options_.generate, options_.stops,
                                         [](std::string_view part) { Print(part); });
    ended_ = answer.ended;
    messages_.push_back({ChatMessage::Role::kAssistant, answer.text});
    if (answer.text.empty() || answer.text.back() != '\n') Print("\n");
    if (answer.result.context_full) {
      Say("the context of " + std::to_string(session_->context()) +
          " tokens is full; /clear starts a new conversation");
    }
  }

 private:
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
  bool ended_ = false;  // the last answer, by a generated end token
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
  const auto file = OpenModel(options.model.engine, options.model.quiet);
  FindChat(*file, ChatMode::kOn);
  if (std::find(options.files.begin(), options.files.end(), "-") != options.files.end()) {
    throw UsageError("--file: found '-', but standard input is the conversation here");
  }
  CheckMemoryBeforeLoading(options, *file);
  NoteOptions(options.generate, options.model.quiet);
  const auto engine = LoadEngine(file, options.model.capacity, options.model.quiet);
  Conversation conversation(options, *engine, ChooseContext(options, *engine));
  return Talk(options, conversation);
}

}  // namespace

Command AddChat(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model, turn by turn");
  AddTexts(*command, "--file", options->files,
           "a document to talk about, read before the first message; repeatable")
      ->type_name("DOC");
  AddText(*command, "--system", options->system, "a system message for the chat template");
  AddGenerateOptions(*command, options->generate, options->stops);
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
