#include "cli/quality_windows.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "bench/base_logits.h"
#include "cli/documents.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/progress.h"

namespace quantspec::cli {
namespace {

const Choices<PerplexityProtocol>& ProtocolChoices() {
  static const Choices<PerplexityProtocol> choices = {{"gptq", PerplexityProtocol::kGptq},
                                                      {"llama", PerplexityProtocol::kLlama}};
  return choices;
}

void CheckOptions(const WindowOptions& options, const std::string& file) {
  const auto check = [](bool holds, const char* message) {
    if (!holds) throw UsageError(message);
  };
  if (options.base.empty()) {
    check(options.is_asked, "--save-base: needs --protocol llama, the form of such files");
    check(!file.empty(), "--file: missing, expected a text to score");
    check(options.save_base.empty() || options.protocol == PerplexityProtocol::kLlama,
          "--save-base: needs --protocol llama, the form of such files");
    return;
  }
  check(!options.is_asked || options.protocol == PerplexityProtocol::kLlama,
        "--kld-base: such files are scored by --protocol llama");
  check(file.empty(), "--file: not with --kld-base, whose file holds the tokens");
  check(options.window == 0 && options.windows == 0,
        "--window and --windows: not with --kld-base, whose file says them");
  check(options.save_base.empty(), "--save-base: not with --kld-base");
}

PerplexityText ReadText(const Tokenizer& tokenizer, const WindowOptions& options,
                        const std::string& file, bool quiet) {
  const Document document = ReadDocument(file);
  const auto warning = CheckText(document);
  if (warning && !quiet) Say("warning: " + *warning);
  try {
    return CutWindows(tokenizer, document.text, options.protocol, options.window, options.windows);
  } catch (const Error& error) {
    throw Error(error.kind(), document.name + ": " + error.what());
  }
}

// Whether the file was made with this model's vocabulary.
void CheckBase(const BaseLogitsHeader& header, const std::string& path, int vocab) {
  if (header.vocab == vocab) return;
  throw Error(ErrorKind::kUsage, path + ": is over a vocabulary of " +
                                     std::to_string(header.vocab) + " tokens, but this model has " +
                                     std::to_string(vocab) +
                                     "; compare models with the same tokenizer");
}

void CheckWindows(const PerplexityText& text, const ModelInfo& info) {
  if (text.window <= info.context) return;
  throw Error(ErrorKind::kUsage, "--window: found " + std::to_string(text.window) +
                                     " tokens, but the context of this model holds " +
                                     std::to_string(info.context));
}

struct Outcome {
  PerplexityScores scores;
  BaseScores base, draft_base;  // against the base file; without rows if there is none
};

Outcome Score(Session& session, const PerplexityText& text, const WindowOptions& options,
              BaseLogitsReader* reader, BaseLogitsWriter* writer, bool quiet) {
  Outcome outcome;
  BaseRow row;
  ProgressLine progress("scoring", static_cast<int>(text.tokens.size()), quiet);
  bool is_cancelled = false;
  outcome.scores = ScorePerplexity(
      session, text, options.scores,
      [&](std::span<const float> target, std::span<const float> draft, Token next) {
        if (writer != nullptr) writer->Add(target);
        if (reader == nullptr) return;
        reader->Next(row);
        outcome.base.Add(row, target, next);
        if (!draft.empty()) outcome.draft_base.Add(row, draft, next);
      },
      [&](double share) { return !(is_cancelled = !progress.Update(share)); });
  if (is_cancelled) throw Cancelled();
  return outcome;
}

Json ReaderJson(const MeanSum& scores, const BaseScores& base) {
  const MeanError perplexity = Perplexity(scores);
  Json json = {{"perplexity", perplexity.mean}, {"perplexity_error", perplexity.error}};
  if (base.rows() == 0) return json;
  json["kld"] = base.kld().mean;
  json["kld_error"] = base.kld().error;
  json["kld_median"] = base.kld_quantile(0.5);
  json["kld_99"] = base.kld_quantile(0.99);
  json["kld_max"] = base.kld_quantile(1);
  json["top1"] = base.top1().mean;
  json["top1_error"] = base.top1().error;
  json["log_ratio"] = base.log_ratio().mean;
  json["log_ratio_error"] = base.log_ratio().error;
  return json;
}

std::string ReaderLine(const char* name, const MeanSum& scores, const BaseScores& base) {
  const MeanError perplexity = Perplexity(scores);
  char line[256];
  int size = std::snprintf(line, sizeof(line), "%-8s perplexity %.4f +- %.4f", name,
                           perplexity.mean, perplexity.error);
  if (base.rows() > 0) {
    size += std::snprintf(line + size, sizeof(line) - static_cast<size_t>(size),
                          ", KLD %.6f +- %.6f, top-1 %.4f +- %.4f, ln ratio %.5f +- %.5f",
                          base.kld().mean, base.kld().error, base.top1().mean, base.top1().error,
                          base.log_ratio().mean, base.log_ratio().error);
  }
  return std::string(line, static_cast<size_t>(size)) + "\n";
}

void PrintOutcome(const ModelOptions& model, const PerplexityText& text, const Outcome& outcome,
                  const Engine& engine, double seconds) {
  const PerplexityScores& scores = outcome.scores;
  if (model.json) {
    Json json = {{"protocol", NameOf(ProtocolChoices(), text.protocol)},
                 {"window", text.window},
                 {"windows", text.windows()},
                 {"targets", scores.target.count()},
                 {"sealed_targets", scores.sealed_targets}};
    if (outcome.base.rows() > 0) json["base"] = {{"perplexity", outcome.base.base_perplexity()}};
    json["target"] = ReaderJson(scores.target, outcome.base);
    if (scores.draft.count() > 0) json["draft"] = ReaderJson(scores.draft, outcome.draft_base);
    json["weights"] = NameOf(WeightChoices(), model.engine.weights);
    json["cache"] = NameOf(CacheChoices(), model.session.cache);
    json["isa"] = engine.isa();
    json["threads"] = engine.threads();
    json["seconds"] = seconds;
    PrintJson(json);
    return;
  }
  std::string shown =
      std::to_string(text.windows()) + " windows of " + std::to_string(text.window) + " tokens, " +
      ShowCount(static_cast<double>(scores.target.count())) + " targets, " +
      ShowCount(static_cast<double>(scores.sealed_targets)) + " of them read sealed groups\n";
  if (outcome.base.rows() > 0) {
    char line[64];
    std::snprintf(line, sizeof(line), "%-8s perplexity %.4f\n", "base",
                  outcome.base.base_perplexity());
    shown += line;
  }
  shown += ReaderLine("target", scores.target, outcome.base);
  if (scores.draft.count() > 0) shown += ReaderLine("draft", scores.draft, outcome.draft_base);
  Print(shown);
}

}  // namespace

void AddWindowOptions(CLI::App& app, WindowOptions& options) {
  AddValue(
      app, "--protocol", "gptq|llama",
      [&options](const std::string& text) {
        options.protocol =
            ProtocolChoices()[ParseChoice("--protocol", text, {"gptq", "llama"})].second;
        options.is_asked = true;
      },
      "instead of --prefix and --tokens: perplexity over windows of the text, as papers (gptq) or "
      "llama.cpp measure it");
  AddInteger(app, "--window", options.window, 3, kMaxContext,
             "tokens of a window (default: 2048, with llama 512)");
  AddInteger(app, "--windows", options.windows, 1, kMaxContext,
             "the most windows to score (default: all)");
  AddChoice<bool>(app, "--readers", options.scores.draft, {{"target", false}, {"both", true}},
                  "score the target, or the draft too, which is several times slower (default: "
                  "target)");
  AddText(app, "--kld-base", options.base,
          "compare with llama.cpp's base-logits file, instead of --file")
      ->type_name("F");
  AddText(app, "--save-base", options.save_base, "write the target's logits as such a file")
      ->type_name("F");
}

int RunWindows(const ModelOptions& model, const WindowOptions& options, const std::string& file) {
  CheckOptions(options, file);
  const auto start = std::chrono::steady_clock::now();
  const auto model_file = OpenModel(model.engine, model.quiet);
  const Tokenizer& tokenizer = model_file->tokenizer();
  std::unique_ptr<BaseLogitsReader> reader;
  PerplexityText text;
  if (options.base.empty()) {
    text = ReadText(tokenizer, options, file, model.quiet);
  } else {
    reader = std::make_unique<BaseLogitsReader>(options.base);
    CheckBase(reader->header(), options.base, model_file->info().vocab);
    text = WindowsOf(tokenizer, reader->header().tokens, reader->header().window);
  }
  CheckWindows(text, model_file->info());
  SessionOptions session_options = model.session;
  session_options.context = std::max(session_options.context, text.window);
  CheckMemory(*model_file, session_options, model.capacity);
  const auto engine = LoadEngine(model_file, model.capacity, model.quiet);
  const auto session = engine->Open(session_options);
  std::unique_ptr<BaseLogitsWriter> writer;
  if (!options.save_base.empty()) {
    writer = std::make_unique<BaseLogitsWriter>(
        options.save_base,
        BaseLogitsHeader{text.window, model_file->info().vocab, text.windows(), text.tokens});
  }
  const Outcome outcome = Score(*session, text, options, reader.get(), writer.get(), model.quiet);
  if (writer) writer->Finish();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  PrintOutcome(model, text, outcome, *engine, seconds.count());
  return kExitDone;
}

}  // namespace quantspec::cli
