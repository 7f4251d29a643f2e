// quantspec tokenize: text to token ids and back.
#include <algorithm>

#include "cli/answer.h"
#include "cli/common.h"
#include "cli/json.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

struct Options {
  EngineOptions engine;
  std::vector<std::string> files;
  std::string prompt;
  bool has_prompt = false;
  bool decode = false;
  bool parse_special = false;
  bool json = false;
};

// Ids separated by anything but digits and minus signs, so that a JSON array works as well.
std::vector<Token> ParseTokens(const std::string& text, const Tokenizer& tokenizer) {
  static constexpr const char* kNumber = "0123456789-";
  const size_t strange = text.find_first_not_of("0123456789-[], \t\r\n");
  if (strange != std::string::npos) {
    throw UsageError("--decode: found '" + text.substr(strange, 1) + "' at byte " +
                     std::to_string(strange) +
                     ", expected token ids separated by spaces or a JSON array of them");
  }
  std::vector<Token> tokens;
  for (size_t begin = text.find_first_of(kNumber); begin != std::string::npos;) {
    const size_t end = std::min(text.find_first_not_of(kNumber, begin), text.size());
    tokens.push_back(static_cast<Token>(
        ParseInteger("--decode", text.substr(begin, end - begin), 0, tokenizer.vocab() - 1)));
    begin = text.find_first_of(kNumber, end);
  }
  return tokens;
}

std::string ReadText(const Options& options) {
  std::string text;
  for (const std::string& path : options.files) text += ReadDocument(path).text;
  text += options.prompt;
  if (options.files.empty() && !options.has_prompt) {
    if (!options.decode) {
      throw UsageError(
          "nothing to tokenize: give --prompt TEXT or --file F ('-' for standard "
          "input)");
    }
    text = ReadDocument("-").text;
  }
  return text;
}

std::string IdsText(const std::vector<Token>& tokens) {
  std::string text;
  for (const Token token : tokens) text += (text.empty() ? "" : " ") + std::to_string(token);
  return text + "\n";
}

int Run(const Options& options) {
  const auto file = OpenModel(options.engine, /*quiet=*/false);
  const Tokenizer& tokenizer = file->tokenizer();
  std::string text = ReadText(options);
  std::vector<Token> tokens;
  if (options.decode) {
    tokens = ParseTokens(text, tokenizer);
    text = tokenizer.Decode(tokens);
  } else if (options.parse_special) {
    tokens = tokenizer.Encode(text, SpecialTokens::kParse);
    if (tokenizer.adds_bos() && tokenizer.bos() >= 0) {
      tokens.insert(tokens.begin(), tokenizer.bos());
    }
  } else {
    tokens = EncodeRaw(tokenizer, text);
  }
  if (options.json) {
    PrintJson({{"tokens", tokens}, {"text", text}});
  } else {
    Print(options.decode ? text : IdsText(tokens));
  }
  return kExitDone;
}

}  // namespace

Command AddTokenize(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "Turn text into token ids, or back");
  AddText(*command, "--model", options->engine.model_path,
          "the model, a GGUF file or a Hugging Face folder")
      ->type_name("PATH");
  AddTexts(*command, "--file", options->files, "a text, '-' for standard input; repeatable")
      ->type_name("F");
  AddValue(
      *command, "--prompt", "TEXT",
      [options](const std::string& text) {
        options->prompt = text;
        options->has_prompt = true;
      },
      "a text, after the files");
  command->add_flag("--decode", options->decode,
                    "the input is token ids: spaces between them, or a JSON array");
  command->add_flag("--special", options->parse_special,
                    "read the names of special tokens in the text as these tokens");
  AddJson(*command, options->json);
  command->footer(
      "Examples:\n"
      "  quantspec tokenize --model m.gguf --prompt 'Hello world'\n"
      "  quantspec tokenize --model m.gguf --file book.txt --json\n"
      "  echo '[19556, 905]' | quantspec tokenize --model m.gguf --decode");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
