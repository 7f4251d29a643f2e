// The `quantspec` program: finds the command, and turns what it throws into messages and exit
// codes.
#include <algorithm>
#include <new>
#include <utility>

#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "eval/eval.h"
#include "server/serve.h"

namespace quantspec::cli {
namespace {

std::vector<std::string> OptionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string Suggest(const std::string& text, const std::vector<std::string>& names) {
  const std::string nearest = NearestName(text, names);
  return nearest.empty() ? "" : ", did you mean '" + nearest + "'?";
}

// What the parser did not understand is wrong usage; says which name was probably meant.
void CheckRest(const CLI::App& app, const std::string& help) {
  for (std::string text : app.remaining()) {
    if (text.size() > 1 && text[0] == '-') {
      text = text.substr(0, text.find('='));
      throw UsageError("unknown option '" + text + "'" + Suggest(text, OptionNames(app)) + help);
    }
    throw UsageError("unexpected argument '" + text + "'" + help);
  }
}

const Command& FindCommand(const CLI::App& app, const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
    CheckRest(*command.app, " (see quantspec " + command.app->get_name() + " --help)");
    return command;
  }
  std::vector<std::string> names;
  std::string list;
  for (const Command& command : commands) {
    names.push_back(command.app->get_name());
    list += (list.empty() ? "" : ", ") + names.back();
  }
  const std::vector<std::string> rest = app.remaining();
  if (!rest.empty() && rest[0].substr(0, 1) != "-") {
    throw UsageError("unknown command '" + rest[0] + "'" + Suggest(rest[0], names) +
                     " (commands: " + list + ")");
  }
  CheckRest(app, " (see quantspec --help)");
  throw UsageError("no command found, expected one of " + list + " (see quantspec --help)");
}

int Parse(int argc, char** argv) {
  CLI::App app("Long-context language models on CPUs, with self-speculative decoding.",
               "quantspec");
  app.set_version_flag("--version", "quantspec " + std::string(Version()));
  app.require_subcommand(0, 1);
  app.allow_extras();
  app.footer("Every command explains itself: quantspec COMMAND --help");
  const std::vector<Command> commands = {
      AddGenerate(app), AddChat(app),  AddTokenize(app),   AddTemplate(app),     AddInspect(app),
      AddQuality(app),  AddBench(app), eval::AddEval(app), server::AddServe(app)};
  for (const Command& command : commands) command.app->allow_extras();
  try {
    std::vector<std::string> arguments =
        SplitEmptyValues({argv + 1, static_cast<size_t>(std::max(argc, 1) - 1)});
    std::reverse(arguments.begin(), arguments.end());  // as the parser takes them
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    Print(app.help());
    return kExitDone;
  } catch (const CLI::CallForVersion& version) {
    Print(std::string(version.what()) + "\n");
    return kExitDone;
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  return FindCommand(app, commands).run();
}

int Main(int argc, char** argv) {
  CatchSignals();
  try {
    return Parse(argc, argv);
  } catch (const UsageError& error) {
    Say(std::string("error: ") + error.what());
    return kExitUsage;
  } catch (const Cancelled&) {
    Say("interrupted");
    return kExitInterrupted;
  } catch (const std::bad_alloc&) {
    Say("error: there is not enough memory; use a smaller --context");
  } catch (const std::exception& error) {
    Say(std::string("error: ") + error.what());
  }
  return kExitFailed;
}

}  // namespace
}  // namespace quantspec::cli

int main(int argc, char** argv) { return quantspec::cli::Main(argc, argv); }
