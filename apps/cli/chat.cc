// quantspec chat: a conversation, turn by turn, over one cache.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "cli/answer.h"
#include "cli/chat_commands.h"
#include "cli/common.h"
#include "cli/conversation.h"
#include "cli/input_history.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/line_reader.h"
#include "cli/output.h"
#include "cli/prompt_store_options.h"

namespace quantspec::cli {
namespace {

struct Options {
  ModelOptions model;
  GenerateArguments generate;
  std::string system;
  std::vector<std::string> files;
  std::string chat_template;  // a file
  std::string history = DefaultHistoryPath();
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

constexpr const char* kPrompt = "> ";

// What is typed on a terminal, or plain lines.
class Input {
 public:
  explicit Input(const Options& options) : is_terminal_(StdinIsTerminal() && StdoutIsTerminal()) {
    if (!is_terminal_ || !TerminalCanEdit()) {
      source_ = std::make_unique<LineReader>(is_terminal_ ? kPrompt : "");
      return;
    }
    history_.emplace(options.history);
    auto editor = std::make_unique<LineEditor>(kPrompt, history_->entries());
    editor_ = editor.get();
    source_ = std::move(editor);
    NoteProblem(options.model.quiet);
  }

  bool is_terminal() const { return is_terminal_; }
  LineSource::Result Read(std::string* line) { return source_->Read(line); }
  void Remember(const std::string& line, bool quiet) {
    if (editor_ == nullptr) return;
    editor_->AddHistory(line);
    if (!history_->Add(line)) NoteProblem(quiet);
  }

 private:
  void NoteProblem(bool quiet) {
    if (!quiet && !has_noted_ && !history_->problem().empty()) {
      Say("note: " + history_->problem());
      has_noted_ = true;
    }
  }

  bool is_terminal_;
  bool has_noted_ = false;
  std::optional<InputHistory> history_;
  LineEditor* editor_ = nullptr;  // the source, if it is one
  std::unique_ptr<LineSource> source_;
};

// Does what a line says. On a terminal an error is told and the conversation goes on.
Next ObeyLine(const std::string& line, const Options& options, bool is_terminal,
              Conversation& conversation) {
  try {
    if (IsCommand(line)) return ObeyCommand(line, conversation, options.model.quiet);
    conversation.Ask(line.starts_with("//") ? line.substr(1) : line);
  } catch (const Error& error) {
    if (!is_terminal) throw;
    Say(std::string("error: ") + error.what());
  }
  return Next::kGoOn;
}

int Talk(const Options& options, Conversation& conversation) {
  Input input(options);
  if (input.is_terminal() && !options.model.quiet) Print("/help shows the commands.\n");
  bool was_interrupted = false;  // just before
  for (std::string line;;) {
    ForgetInterrupt();
    const LineSource::Result result = input.Read(&line);
    if (result == LineSource::Result::kEnd) {
      if (input.is_terminal()) Print("\n");
      return kExitDone;
    }
    if (result == LineSource::Result::kInterrupted) {
      if (!input.is_terminal()) return kExitInterrupted;
      Print("\n");
      if (was_interrupted) return kExitInterrupted;
      was_interrupted = true;
      if (line.empty()) Print("(Ctrl-C again, Ctrl-D or /exit ends the program)\n");
      continue;
    }
    was_interrupted = false;
    if (line.find_first_not_of(" \t\n") == std::string::npos) continue;
    input.Remember(line, options.model.quiet);
    if (ObeyLine(line, options, input.is_terminal(), conversation) == Next::kLeave) {
      return kExitDone;
    }
    was_interrupted = Interrupted();
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
  const ConversationOptions talk{
      options.model, ChooseGenerateOptions(options.generate, *file, options.model.quiet),
      options.generate.stops, options.system};
  const auto engine = LoadEngine(file, options.model.capacity, options.model.quiet);
  Conversation conversation(talk, *engine, ChooseContext(options, *engine),
                            ReadDocuments(options.files, options.model.quiet));
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
  AddText(*command, "--history", options->history,
          "where typed messages are kept, empty: nowhere (default: a file under ~/.local/state)")
      ->type_name("FILE");
  AddGenerateOptions(*command, options->generate);
  AddPromptStoreOptions(*command, options->model, PromptReuse::kAll);
  AddModelOptions(*command, options->model, JsonOption::kNo);
  command->footer(std::string("Commands in a conversation:\n") + kChatCommands +
                  "\n"
                  "Examples:\n"
                  "  quantspec chat --model m.gguf\n"
                  "  quantspec chat --model m.gguf --file book.txt --context 16384\n"
                  "  printf 'Hello\\nTell me more\\n' | quantspec chat --model m.gguf --quiet");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
