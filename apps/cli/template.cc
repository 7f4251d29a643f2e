// quantspec template: what a model would be sent for a conversation.
#include "cli/answer.h"
#include "cli/common.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

struct Options {
  EngineOptions engine;
  std::string chat_template;
  std::string messages;
  std::string tools;
  bool no_generation_prompt = false;
  bool tokens = false;
};

int Run(const Options& options) {
  if (options.messages.empty()) {
    throw UsageError("--messages: missing, expected a JSON file with a list of messages");
  }
  if (options.messages == "-" && options.tools == "-") {
    throw UsageError("--messages and --tools: both name standard input, which is read only once");
  }
  const auto file =
      OpenModel(WithChatTemplate(options.engine, options.chat_template), /*quiet=*/false);
  const ChatTemplate* chat = file->chat();
  if (chat == nullptr) {
    throw Error(ErrorKind::kUnsupported,
                "this model has no chat template; give one with --template");
  }
  ChatRequest request;
  request.messages = ReadDocument(options.messages).text;
  if (!options.tools.empty()) request.tools = ReadDocument(options.tools).text;
  request.add_generation_prompt = !options.no_generation_prompt;
  const ChatPrompt prompt = chat->Render(request);
  if (!prompt.template_name.empty()) Say("note: by the template " + prompt.template_name);
  if (options.tokens) {
    std::string ids;
    for (const Token token : prompt.tokens) ids += (ids.empty() ? "" : " ") + std::to_string(token);
    Print(ids + "\n");
  } else {
    Print(prompt.text);
  }
  return kExitDone;
}

}  // namespace

Command AddTemplate(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("template", "Show what a model would be sent for a conversation");
  AddText(*command, "--model", options->engine.model_path,
          "the model, a GGUF file or a Hugging Face folder")
      ->type_name("PATH");
  AddText(*command, "--template", options->chat_template,
          "a chat template (Jinja) to use instead of the model's")
      ->type_name("FILE");
  AddText(*command, "--messages", options->messages,
          "a JSON list of {\"role\": ..., \"content\": ...}; '-' for standard input")
      ->type_name("F");
  AddText(*command, "--tools", options->tools, "a JSON list of tools, '-' for standard input")
      ->type_name("F");
  command->add_flag("--no-generation-prompt", options->no_generation_prompt,
                    "do not open the turn that the model writes next");
  command->add_flag("--tokens", options->tokens, "print token ids instead of text");
  command->footer(
      "Examples:\n"
      "  quantspec template --model m.gguf --messages conversation.json\n"
      "  quantspec template --model m.gguf --messages conversation.json --tools tools.json "
      "--tokens");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
