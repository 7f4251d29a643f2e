// Options of what is generated, and how.
#include <optional>
#include <sstream>
#include <string>

#include "cli/common.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

void AddGivenNumber(CLI::App& app, const std::string& name, std::optional<float>& value, double low,
                    double high, const std::string& help) {
  AddValue(
      app, name, "X",
      [=, &value](const std::string& text) {
        value = static_cast<float>(ParseNumber(name, text, low, high));
      },
      help);
}

void AddSamplingOptions(CLI::App& app, GenerateArguments& arguments) {
  SamplingAdvice& given = arguments.given;
  AddChoice<SamplingSource>(
      app, "--sampling", arguments.source,
      {{"greedy", SamplingSource::kGreedy}, {"model", SamplingSource::kModel}},
      "what the options below are where they are not given: greedy, or as the model's authors "
      "advise (default: greedy)");
  AddGivenNumber(app, "--temperature", given.temperature, 0, 100,
                 "0 takes the likeliest token (default: 0)");
  AddValue(
      app, "--top-k", "N",
      [&given](const std::string& text) {
        given.top_k = static_cast<int>(ParseInteger("--top-k", text, 0, kMaxContext));
      },
      "sample from the K likeliest tokens, 0 = all (default: 0)");
  AddGivenNumber(app, "--top-p", given.top_p, 0, 1,
                 "sample from the likeliest tokens with this share together (default: 1)");
  AddGivenNumber(app, "--min-p", given.min_p, 0, 1,
                 "drop tokens below this share of the likeliest one (default: 0)");
  AddGivenNumber(app, "--repeat-penalty", given.repeat_penalty, 0.01, 100,
                 "divide the logits of recent tokens by this (default: 1)");
}

// "temperature 0.6, top-k 20"
std::string AdviceText(const SamplingAdvice& advice) {
  std::string text;
  const auto add = [&](const char* name, const auto& value) {
    if (!value) return;
    std::ostringstream number;
    number << *value;
    text += (text.empty() ? "" : ", ") + std::string(name) + " " + number.str();
  };
  add("temperature", advice.temperature);
  add("top-k", advice.top_k);
  add("top-p", advice.top_p);
  add("min-p", advice.min_p);
  add("repeat penalty", advice.repeat_penalty);
  return text;
}

// A note where options make an answer depend on timing.
void NoteOptions(const GenerateOptions& options, bool quiet) {
  const bool by_rejection =
      options.sampling.temperature > 0 && options.sampling.verify == VerifyRule::kRejection;
  if (by_rejection && options.gamma == kGammaAuto && !quiet) {
    Say("note: with --verify rejection the output depends on gamma, and --gamma auto on timing; "
        "fix --gamma for output that can be repeated");
  }
}

}  // namespace

void AddGenerateOptions(CLI::App& app, GenerateArguments& arguments) {
  GenerateOptions& options = arguments.options;
  AddInteger(app, "--max-tokens", options.max_tokens, 1, kMaxContext,
             "most tokens to generate (default: 256)");
  app.add_flag("--ignore-eos", options.ignore_end, "go on after the end of the text");
  AddTexts(app, "--stop", arguments.stops, "stop before this text; may be given several times")
      ->each([](const std::string& text) {
        if (text.empty()) throw UsageError("--stop: found an empty text, expected at least a byte");
      });
  AddSamplingOptions(app, arguments);
  AddValue(
      app, "--seed", "N",
      [&options](const std::string& text) {
        options.sampling.seed = ParseUnsigned("--seed", text);
      },
      "of the random numbers (default: 0)");
  AddValue(
      app, "--gamma", "auto|0..16",
      [&options](const std::string& text) { options.gamma = ParseGamma("--gamma", text); },
      "tokens drafted a round, 0 = plain decoding (default: auto)");
  AddChoice<VerifyRule>(app, "--verify", options.sampling.verify,
                        {{"coupled", VerifyRule::kCoupled}, {"rejection", VerifyRule::kRejection}},
                        "how sampled drafts are verified (default: coupled, the output is that of "
                        "plain sampling)");
}

GenerateOptions ChooseGenerateOptions(const GenerateArguments& arguments, const ModelFile& file,
                                      bool quiet) {
  GenerateOptions options = arguments.options;
  if (arguments.source == SamplingSource::kModel) {
    const std::string advice = AdviceText(file.sampling_advice());
    options.sampling = file.sampling_advice().ApplyTo(options.sampling);
    if (!quiet) {
      Say(advice.empty() ? "note: this model advises nothing on sampling: greedy"
                         : "note: the model advises " + advice);
    }
  }
  options.sampling = arguments.given.ApplyTo(options.sampling);
  NoteOptions(options, quiet);
  return options;
}

}  // namespace quantspec::cli
