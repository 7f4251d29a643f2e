// What the commands share: the options of a model, a session and an answer, and the steps from a
// path to a loaded engine.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.h"
#include "quantspec/engine.h"

namespace quantspec::cli {

// A command of the program: its options, and what it does once they are parsed; returns the exit
// code.
struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

Command AddGenerate(CLI::App& app);
Command AddChat(CLI::App& app);
Command AddTokenize(CLI::App& app);
Command AddInspect(CLI::App& app);
Command AddQuality(CLI::App& app);
Command AddBench(CLI::App& app);
Command AddTemplate(CLI::App& app);

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

// Thrown where Ctrl-C ended the work before there was anything to show.
class Cancelled : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

// Options that take one value; the last one given counts. Bad values throw UsageError.
CLI::Option* AddText(CLI::App& app, const std::string& name, std::string& value,
                     const std::string& help);
CLI::Option* AddInteger(CLI::App& app, const std::string& name, int& value, int low, int high,
                        const std::string& help);
CLI::Option* AddNumber(CLI::App& app, const std::string& name, float& value, double low,
                       double high, const std::string& help);
CLI::Option* AddValue(CLI::App& app, const std::string& name, const std::string& type,
                      std::function<void(const std::string&)> read, const std::string& help);
// May be given several times.
CLI::Option* AddTexts(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& help);

template <typename T>
using Choices = std::vector<std::pair<std::string, T>>;
// The index of `text` in `names`, or UsageError naming them all.
size_t ParseChoice(const std::string& option, const std::string& text,
                   const std::vector<std::string>& names);
template <typename T>
CLI::Option* AddChoice(CLI::App& app, const std::string& name, T& value, const Choices<T>& choices,
                       const std::string& help) {
  std::vector<std::string> names;
  std::string type;
  for (const auto& [text, meaning] : choices) {
    names.push_back(text);
    type += (type.empty() ? "" : "|") + text;
  }
  return AddValue(
      app, name, type,
      [=, &value](const std::string& text) {
        value = choices[ParseChoice(name, text, names)].second;
      },
      help);
}

const Choices<WeightMode>& WeightChoices();
const Choices<CacheKind>& CacheChoices();
template <typename T>
std::string NameOf(const Choices<T>& choices, T value) {
  for (const auto& [text, meaning] : choices) {
    if (meaning == value) return text;
  }
  return "";
}

inline constexpr int kMaxContext = 1 << 24;
inline constexpr int kMaxCacheTokens = 1 << 30;
inline constexpr int kMaxSequences = 1024;
inline constexpr int kMaxThreads = 1024;
inline constexpr int kMaxLayers = 1024;

struct ModelOptions {
  EngineOptions engine;
  SessionOptions session;  // context 0: not given
  EngineCapacity capacity;
  bool quiet = false;
  bool json = false;
};
enum class JsonOption { kNo, kYes };
void AddModelOptions(CLI::App& app, ModelOptions& options, JsonOption json);
void AddJson(CLI::App& app, bool& json);
void AddQuiet(CLI::App& app, bool& quiet);

// "auto" or 0 to kMaxGamma.
int ParseGamma(const std::string& option, const std::string& text);
std::string GammaText(int gamma);
// Where the sampling options come from that are not given.
enum class SamplingSource { kGreedy, kModel };
struct GenerateArguments {
  GenerateOptions options;  // without what is given of sampling_advice
  std::vector<std::string> stops;
  SamplingSource source = SamplingSource::kGreedy;
  SamplingAdvice given;
};
void AddGenerateOptions(CLI::App& app, GenerateArguments& arguments);
// What to generate with `file`; says what the model advised unless `quiet`.
GenerateOptions ChooseGenerateOptions(const GenerateArguments& arguments, const ModelFile& file,
                                      bool quiet);

// Throws UsageError without a model path. What had to be guessed is a note on standard error.
std::shared_ptr<const ModelFile> OpenModel(const EngineOptions& options, bool quiet);
// Throws Error{kMemory}, naming the largest context that fits, if `options` need more than there
// is.
void CheckMemory(const ModelFile& file, const SessionOptions& options,
                 const EngineCapacity& capacity);
// Loads the weights with progress on a terminal. Throws Cancelled after Ctrl-C.
std::shared_ptr<const Engine> LoadEngine(std::shared_ptr<const ModelFile> file,
                                         const EngineCapacity& capacity, bool quiet);
// Session::Prefill with progress on a terminal; false after Ctrl-C.
bool Prefill(Session& session, std::span<const Token> prompt, bool quiet);

// Highest resident set of this process so far, in bytes; 0 if the system does not say.
uint64_t PeakResidentBytes();

}  // namespace quantspec::cli
