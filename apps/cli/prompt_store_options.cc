#include "cli/prompt_store_options.h"

#include <limits>

#include "cli/output.h"

namespace quantspec::cli {
namespace {

// A number of bytes, with K, M, G or T behind it for powers of 1,024.
uint64_t ParseBytes(const std::string& option, const std::string& text) {
  constexpr std::string_view kUnits = "KMGT";
  const size_t unit = text.empty() ? std::string::npos : kUnits.find(text.back());
  if (unit == std::string_view::npos) return ParseUnsigned(option, text);
  const uint64_t count = ParseUnsigned(option, text.substr(0, text.size() - 1));
  const int shift = 10 * (static_cast<int>(unit) + 1);
  if (count > std::numeric_limits<uint64_t>::max() >> shift) {
    throw UsageError(option + ": found '" + text + "', expected a number of bytes of 64 bits");
  }
  return count << shift;
}

}  // namespace

const Choices<PromptReuse>& ReuseChoices() {
  static const Choices<PromptReuse> choices = {{"prompts", PromptReuse::kPrompts},
                                               {"all", PromptReuse::kAll}};
  return choices;
}

void AddPromptStoreOptions(CLI::App& app, ModelOptions& model, PromptReuse reuse) {
  EngineOptions& options = model.engine;
  model.session.reuse = reuse;
  AddChoice(app, "--reuse", model.session.reuse, ReuseChoices(),
            "what is kept for later prompts that begin alike: prompts, so that no answer depends "
            "on what was read before, or all, answers too, so that a conversation's next turn "
            "reads less; the last bits of its numbers, and rarely its text, may then differ from "
            "those of a cold start (default: " +
                NameOf(ReuseChoices(), reuse) + ")");
  AddText(app, "--prompt-store", options.prompt_store,
          "a folder that keeps what --reuse says for later runs")
      ->type_name("DIR");
  AddValue(
      app, "--prompt-store-bytes", "N",
      [&options](const std::string& text) {
        options.prompt_store_bytes = ParseBytes("--prompt-store-bytes", text);
      },
      "bytes that its files take at most, also as 500M or 8G (default: 8G)");
}

void NotePromptStore(const Engine& engine, bool quiet) {
  const std::string warning = engine.prompt_store().warning;
  if (!warning.empty() && !quiet) Say("warning: " + warning);
}

}  // namespace quantspec::cli
