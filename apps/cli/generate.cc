// quantspec generate: documents and a question in, an answer out.
#include <algorithm>

#include "cli/answer.h"
#include "cli/common.h"
#include "cli/draft_options.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/prompt_store_options.h"

namespace quantspec::cli {
namespace {

struct Options {
  ModelOptions model;
  GenerateArguments generate;
  std::vector<std::string> files;
  std::string prompt;
  std::string prompt_file;
  std::string system;
  std::string chat_template;  // a file
  ChatMode chat = ChatMode::kAuto;
};

std::string ReadPrompt(const Options& options) {
  if (!options.prompt_file.empty()) {
    if (!options.prompt.empty()) {
      throw UsageError("--prompt and --prompt-file: found both, expected one of them");
    }
    return ReadDocuments({&options.prompt_file, 1}, options.model.quiet).front().text;
  }
  const auto warning = CheckText({"--prompt", options.prompt});
  if (warning && !options.model.quiet) Say("warning: " + *warning);
  return options.prompt;
}

std::vector<Token> BuildPrompt(const Options& options, const ModelFile& file) {
  if (options.files.empty() && options.prompt.empty() && options.prompt_file.empty()) {
    throw UsageError("nothing to answer: give --prompt TEXT, --prompt-file F or --file DOC");
  }
  if (options.prompt_file == "-" &&
      std::find(options.files.begin(), options.files.end(), "-") != options.files.end()) {
    throw UsageError("--prompt-file and --file: both name standard input, which is read only once");
  }
  const std::string prompt = ReadPrompt(options);
  const std::vector<Document> documents = ReadDocuments(options.files, options.model.quiet);
  const ChatFormat* chat = FindChat(file, options.chat);
  if (chat == nullptr && !options.system.empty()) {
    throw UsageError("--system: needs a chat template, but this prompt is raw text");
  }
  const std::string text =
      JoinTexts(documents, prompt, chat != nullptr ? Join::kParagraphs : Join::kAsIs);
  if (text.empty()) throw UsageError("nothing to answer: the prompt and the documents are empty");
  return chat != nullptr ? chat->Format(FirstTurn(options.system, text))
                         : EncodeRaw(file.tokenizer(), text);
}

// The context for the prompt and the answer: as asked for, or what they need.
int ChooseContext(const Options& options, const ModelInfo& model, size_t prompt_tokens) {
  const int asked = options.model.session.context;
  const auto limit =
      static_cast<size_t>(asked > 0 ? std::min(asked, model.context) : model.context);
  if (prompt_tokens > limit) {
    const bool may_grow = static_cast<int>(limit) < model.context;
    throw Error(ErrorKind::kUsage,
                "the prompt has " + std::to_string(prompt_tokens) + " tokens, but the context " +
                    (may_grow ? "asked for" : "of this model") + " holds " + std::to_string(limit) +
                    "; shorten the documents" +
                    (may_grow ? " or raise --context, up to " + std::to_string(model.context)
                              : " or use a model with a longer context"));
  }
  if (asked > 0) return asked;
  const size_t wanted = prompt_tokens + static_cast<size_t>(options.generate.options.max_tokens);
  return static_cast<int>(std::min(wanted, limit));
}

void Summarise(const Answer& answer, const Session& session) {
  const GenerateStats& stats = answer.result.stats;
  const MemoryBytes memory = session.memory();
  const auto rate = [](int tokens, double seconds) {
    return ShowCount(tokens) + " tokens in " + ShowNumber(seconds) + " s (" +
           ShowNumber(PerSecond(tokens, seconds)) + " tokens/s)";
  };
  Say("read " + rate(stats.prompt_tokens, stats.prefill_s) + ", generated " +
      rate(stats.generated_tokens, stats.decode_s) + ", memory " +
      ShowBytes(static_cast<double>(memory.total())) + " (weights " +
      ShowBytes(static_cast<double>(memory.weights)) + ", cache " +
      ShowBytes(static_cast<double>(memory.cache())) + ")");
  std::string line = "gamma " + GammaText(stats.gamma) + ", " +
                     ShowCount(static_cast<double>(stats.rounds)) + " rounds, ";
  if (stats.drafted > 0) {
    line += "accepted " + ShowCount(static_cast<double>(stats.accepted)) + " of " +
            ShowCount(static_cast<double>(stats.drafted)) + " drafted tokens (" +
            std::to_string(stats.accepted * 100 / stats.drafted) + " %)";
  } else {
    line += stats.gamma == kGammaAuto ? "no drafts: they would not pay here" : "no drafts";
  }
  if (answer.result.context_full) {
    line +=
        "; stopped because the context of " + std::to_string(session.context()) + " tokens is full";
  } else if (answer.finish == FinishReason::kLength) {
    line += "; stopped at --max-tokens";
  } else if (answer.finish == FinishReason::kInterrupted) {
    line += "; interrupted";
  }
  Say(line);
}

Json ResultJson(const Options& options, const Answer& answer, const Session& session,
                const Engine& engine) {
  const GenerateStats& stats = answer.result.stats;
  const ModelInfo& model = engine.file().info();
  Json json;
  json["text"] = answer.text;
  json["tokens"] = answer.tokens;
  json["prompt_tokens"] = stats.prompt_tokens;
  json["cached_tokens"] = stats.cached_tokens;
  json["generated_tokens"] = answer.tokens.size();
  json["finish_reason"] = FinishName(answer.finish);
  json["context_full"] = answer.result.context_full;
  json.update(StatsJson(stats));
  json["reuse"] = NameOf(ReuseChoices(), options.model.session.reuse);
  json["draft"] = DraftName(options.model.session.draft);
  json["cache_digest"] = session.CacheDigest();
  json["context"] = session.context();
  json["memory_bytes"] = MemoryJson(session.memory());
  json["peak_rss_bytes"] = PeakResidentBytes();
  json["isa"] = engine.isa();
  json["threads"] = engine.threads();
  json["model"] = {{"name", model.name},
                   {"architecture", model.architecture},
                   {"layers", model.layers},
                   {"context", model.context}};
  return json;
}

int Run(const Options& options) {
  const auto file =
      OpenModel(WithChatTemplate(options.model.engine, options.chat_template), options.model.quiet);
  const std::vector<Token> prompt = BuildPrompt(options, *file);
  SessionOptions session_options = options.model.session;
  session_options.context = ChooseContext(options, file->info(), prompt.size());
  CheckMemory(*file, session_options, options.model.capacity);
  const GenerateOptions generate =
      ChooseGenerateOptions(options.generate, *file, options.model.quiet);

  const auto engine = LoadEngine(file, options.model.capacity, options.model.quiet);
  const auto session = engine->Open(session_options);
  Answer answer;
  if (Prefill(*session, prompt, options.model.quiet)) {
    const auto show = [&](std::string_view text) {
      if (!options.model.json) Print(text);
    };
    answer = GenerateAnswer(*session, file->tokenizer(), generate, options.generate.stops, show);
  } else {
    answer.finish = FinishReason::kInterrupted;
    answer.result.stats.gamma = generate.gamma;
    answer.result.stats.prompt_tokens = static_cast<int>(prompt.size());
  }
  if (options.model.json) {
    PrintJson(ResultJson(options, answer, *session, *engine));
  } else {
    if (!answer.text.empty() && answer.text.back() != '\n') Print("\n");
    if (!options.model.quiet) Summarise(answer, *session);
  }
  NotePromptStore(*engine, options.model.quiet);
  return answer.finish == FinishReason::kInterrupted ? kExitInterrupted : kExitDone;
}

}  // namespace

Command AddGenerate(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("generate", "Answer a question about documents, or continue a text");
  AddTexts(*command, "--file", options->files, "a document, '-' for standard input; repeatable")
      ->type_name("DOC");
  AddText(*command, "--prompt", options->prompt, "the question, after the documents");
  AddText(*command, "--prompt-file", options->prompt_file, "the question from a file")
      ->type_name("F");
  AddChoice<ChatMode>(
      *command, "--chat", options->chat,
      {{"auto", ChatMode::kAuto}, {"on", ChatMode::kOn}, {"off", ChatMode::kOff}},
      "wrap the prompt in the model's chat template (default: auto, if it has one)");
  AddText(*command, "--system", options->system, "a system message for the chat template");
  AddChatTemplate(*command, options->chat_template);
  AddGenerateOptions(*command, options->generate);
  AddPromptStoreOptions(*command, options->model, PromptReuse::kPrompts);
  AddModelOptions(*command, options->model, JsonOption::kYes);
  command->footer(
      "Examples:\n"
      "  quantspec generate --model m.gguf --file book.txt --prompt 'Who is Ishmael?'\n"
      "  quantspec generate --model m.gguf --chat off --prompt 'Once upon a time' "
      "--max-tokens 50\n"
      "  cat notes.txt | quantspec generate --model m.gguf --file - --prompt 'Summarise.' --json\n"
      "  quantspec generate --model m.gguf --prompt 'A poem' --temperature 0.8 --seed 7 "
      "--stop END");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
