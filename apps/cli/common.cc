#include "cli/common.h"

#include <fstream>
#include <sstream>

#include "cli/draft_options.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"

namespace quantspec::cli {

CLI::Option* AddValue(CLI::App& app, const std::string& name, const std::string& type,
                      std::function<void(const std::string&)> read, const std::string& help) {
  return app.add_option_function<std::string>(name, std::move(read), help)
      ->type_name(type)
      ->take_last();
}

CLI::Option* AddText(CLI::App& app, const std::string& name, std::string& value,
                     const std::string& help) {
  return AddValue(
      app, name, "TEXT", [&value](const std::string& text) { value = text; }, help);
}

CLI::Option* AddTexts(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& help) {
  return app.add_option(name, values, help)->type_name("TEXT")->allow_extra_args(false);
}

CLI::Option* AddInteger(CLI::App& app, const std::string& name, int& value, int low, int high,
                        const std::string& help) {
  return AddValue(
      app, name, "N",
      [=, &value](const std::string& text) {
        value = static_cast<int>(ParseInteger(name, text, low, high));
      },
      help);
}

CLI::Option* AddNumber(CLI::App& app, const std::string& name, float& value, double low,
                       double high, const std::string& help) {
  return AddValue(
      app, name, "X",
      [=, &value](const std::string& text) {
        value = static_cast<float>(ParseNumber(name, text, low, high));
      },
      help);
}

size_t ParseChoice(const std::string& option, const std::string& text,
                   const std::vector<std::string>& names) {
  std::string expected;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return i;
    expected += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  throw UsageError(option + ": found '" + text + "', expected " + expected);
}

const Choices<WeightMode>& WeightChoices() {
  static const Choices<WeightMode> choices = {{"auto", WeightMode::kAuto},
                                              {"nested", WeightMode::kNested},
                                              {"bf16", WeightMode::kBf16},
                                              {"float", WeightMode::kFloat}};
  return choices;
}

const Choices<CacheKind>& CacheChoices() {
  static const Choices<CacheKind> choices = {{"hierarchical", CacheKind::kHierarchical},
                                             {"full", CacheKind::kFull}};
  return choices;
}

void AddModelOptions(CLI::App& app, ModelOptions& options, JsonOption json) {
  AddText(app, "--model", options.engine.model_path,
          "the model, a GGUF file or a Hugging Face folder")
      ->type_name("PATH");
  AddInteger(app, "--threads", options.engine.threads, 1, kMaxThreads,
             "threads to compute with (default: physical cores)");
  AddInteger(app, "--context", options.session.context, 1, kMaxContext,
             "tokens that the cache holds (default: what the input needs, at most what the model "
             "was made for)");
  AddChoice(app, "--weights", options.engine.weights, WeightChoices(),
            "how weights are stored (default: auto, 4-bit files as they are, finer ones nested)");
  AddChoice<int>(app, "--group", options.engine.group, {{"32", 32}, {"64", 64}, {"128", 128}},
                 "weights that share a scale (default: 32)");
  AddValue(
      app, "--draft-exact-layers", "auto|N",
      [&options](const std::string& text) {
        options.engine.draft_exact_layers = ParseOrAuto("--draft-exact-layers", text, kMaxLayers);
      },
      "last layers that the draft reads as the target does (default: auto, 1 with --group 64 or "
      "128, else 0)");
  AddChoice(app, "--cache", options.session.cache, CacheChoices(),
            "how keys and values are stored (default: hierarchical)");
  AddInteger(app, "--cache-tokens", options.capacity.cache_tokens, 1, kMaxCacheTokens,
             "tokens that the engine's cache holds over all sequences (default: their contexts)");
  AddDraftOptions(app, options.session.draft);
  AddQuiet(app, options.quiet);
  if (json == JsonOption::kYes) AddJson(app, options.json);
}

void AddJson(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "print one JSON object on standard output and nothing else there");
}

void AddQuiet(CLI::App& app, bool& quiet) {
  app.add_flag("--quiet", quiet, "no progress, notes or summary on standard error");
}

int ParseGamma(const std::string& option, const std::string& text) {
  static_assert(kGammaAuto == kAuto);
  return ParseOrAuto(option, text, kMaxGamma);
}

std::string GammaText(int gamma) { return gamma == kGammaAuto ? "auto" : std::to_string(gamma); }

std::shared_ptr<const ModelFile> OpenModel(const EngineOptions& options, bool quiet) {
  if (options.model_path.empty() && options.random_shape.empty()) {
    throw UsageError("--model: missing, expected the path of a GGUF file or a Hugging Face folder");
  }
  std::shared_ptr<const ModelFile> file = ModelFile::Open(options);
  for (const std::string& warning : file->warnings()) {
    if (!quiet) Say("note: " + warning);
  }
  return file;
}

void CheckMemory(const ModelFile& file, const SessionOptions& options,
                 const EngineCapacity& capacity) {
  const MemoryPlan plan = file.Plan(options, capacity);
  if (plan.bytes.total() <= plan.available_bytes) return;
  const std::string help =
      plan.largest_context > 0
          ? "the largest context that fits is " + std::to_string(plan.largest_context) + " tokens"
          : "not even its weights fit";
  throw Error(ErrorKind::kMemory,
              "a context of " + std::to_string(plan.context) + " tokens takes " +
                  ShowBytes(static_cast<double>(plan.bytes.total())) + " with this model, but " +
                  ShowBytes(static_cast<double>(plan.available_bytes)) + " are available; " + help);
}

std::shared_ptr<const Engine> LoadEngine(std::shared_ptr<const ModelFile> file,
                                         const EngineCapacity& capacity, bool quiet) {
  try {
    ProgressLine progress("loading", 0, quiet);
    auto engine =
        Engine::Load(std::move(file), capacity, [&](double done) { return progress.Update(done); });
    if (!Interrupted()) return engine;
  } catch (const Error&) {
    if (!Interrupted()) throw;
  }
  throw Cancelled();
}

bool Prefill(Session& session, std::span<const Token> prompt, bool quiet) {
  ProgressLine progress("reading", static_cast<int>(prompt.size()), quiet);
  return session.Prefill(prompt, [&](int done, int total) {
    return progress.Update(static_cast<double>(done) / total);
  });
}

uint64_t PeakResidentBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) != 0) continue;
    uint64_t kilobytes = 0;
    std::istringstream(line.substr(6)) >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

}  // namespace quantspec::cli
