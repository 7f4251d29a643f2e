// quantspec quality: how far target and draft are from a float reference, token by token of a text.
#include <algorithm>
#include <chrono>

#include "bench/scores.h"
#include "cli/answer.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quality_windows.h"

namespace quantspec::cli {
namespace {

struct Options {
  ModelOptions model;
  std::string file;
  int prefix = 0;
  int tokens = 0;
  WindowOptions windows;
};

struct Scores {
  ScoreSum reference, target, draft;
};

std::vector<Token> ReadTokens(const Options& options, const ModelFile& file) {
  const Document document = ReadDocument(options.file);
  const auto warning = CheckText(document);
  if (warning && !options.model.quiet) Say("warning: " + *warning);
  std::vector<Token> tokens = EncodeRaw(file.tokenizer(), document.text);
  const size_t needed = static_cast<size_t>(options.prefix) + static_cast<size_t>(options.tokens);
  if (tokens.size() < needed + 1) {
    throw Error(ErrorKind::kUsage, document.name + ": has " + std::to_string(tokens.size()) +
                                       " tokens, expected at least --prefix + --tokens + 1 = " +
                                       std::to_string(needed + 1) +
                                       "; use a longer text or fewer tokens");
  }
  if (needed > static_cast<size_t>(file.info().context)) {
    throw Error(ErrorKind::kUsage, "--prefix + --tokens: found " + std::to_string(needed) +
                                       ", but the context of this model holds " +
                                       std::to_string(file.info().context));
  }
  tokens.resize(needed + 1);
  return tokens;
}

// An engine with one session of the same length as its neighbours.
struct Side {
  std::shared_ptr<const Engine> engine;
  std::unique_ptr<Session> session;
};

// The float reference: float32 weights and one dense float32 cache.
ModelOptions ReferenceOptions(const ModelOptions& options) {
  ModelOptions reference = options;
  reference.engine.weights = WeightMode::kFloat;
  reference.session.cache = CacheKind::kFull;
  return reference;
}

void CheckBothFit(const MemoryPlan& plan, const MemoryPlan& reference) {
  const uint64_t needed = plan.bytes.total() + reference.bytes.total();
  if (needed <= plan.available_bytes) return;
  throw Error(ErrorKind::kMemory,
              "the model and its float reference take " + ShowBytes(static_cast<double>(needed)) +
                  " together, but only " + ShowBytes(static_cast<double>(plan.available_bytes)) +
                  " are available; use a smaller --prefix or model");
}

Side OpenSide(std::shared_ptr<const ModelFile> file, const ModelOptions& options,
              std::span<const Token> prefix) {
  Side side;
  side.engine = LoadEngine(std::move(file), options.capacity, options.quiet);
  side.session = side.engine->Open(options.session);
  if (!Prefill(*side.session, prefix, options.quiet)) throw Cancelled();
  return side;
}

// Scores the rows of `text` after the prefix. Each draft row stands where the first drafted token
// of a round would: everything before it was written by the target.
Scores ScoreRows(std::span<const Token> text, int prefix, Session& reference, Session& model,
                 bool quiet) {
  const int rows = static_cast<int>(text.size()) - 1 - prefix;
  ProgressLine progress("scoring", rows, quiet);
  Scores scores;
  std::vector<float> draft_logits;
  for (int done = 0; done < rows;) {
    const int block = std::min({rows - done, kMaxGamma, reference.step_room()});
    const std::span<const Token> tokens =
        text.subspan(static_cast<size_t>(prefix + done), static_cast<size_t>(block));
    const std::span<const float> reference_logits = reference.Step(Reader::kTarget, tokens);
    const size_t vocab = reference_logits.size() / tokens.size();
    for (size_t row = 0; row < tokens.size(); ++row) {
      const int length = model.length();
      const std::span<const float> drafted = model.Step(Reader::kDraft, tokens.subspan(row, 1));
      draft_logits.assign(drafted.begin(), drafted.end());
      model.Rewind(length);
      const Distribution base(reference_logits.subspan(row * vocab, vocab));
      const Distribution target(model.Step(Reader::kTarget, tokens.subspan(row, 1)));
      const Distribution draft(draft_logits);
      const Token next = text[static_cast<size_t>(length) + 1];
      scores.reference.AddText(base, next);
      scores.target.AddText(target, next);
      scores.target.AddAgainst(base, target);
      scores.draft.AddText(draft, next);
      scores.draft.AddAgainst(target, draft);
      model.Rewind(length + 1);
      ++done;
      if (!progress.Update(static_cast<double>(done) / rows)) throw Cancelled();
    }
    reference.Rewind(prefix + done);
  }
  return scores;
}

void PrintScores(const Options& options, const Scores& scores, const Engine& engine,
                 double seconds) {
  if (options.model.json) {
    PrintJson({{"prefix", options.prefix},
               {"tokens", options.tokens},
               {"reference", {{"perplexity", scores.reference.perplexity()}}},
               {"target",
                {{"perplexity", scores.target.perplexity()},
                 {"kld", scores.target.kld()},
                 {"top1", scores.target.top1()}}},
               {"draft",
                {{"perplexity", scores.draft.perplexity()},
                 {"kld", scores.draft.kld()},
                 {"top1", scores.draft.top1()},
                 {"overlap", scores.draft.overlap()}}},
               {"weights", NameOf(WeightChoices(), options.model.engine.weights)},
               {"cache", NameOf(CacheChoices(), options.model.session.cache)},
               {"isa", engine.isa()},
               {"threads", engine.threads()},
               {"seconds", seconds}});
    return;
  }
  char text[512];
  std::snprintf(text, sizeof(text),
                "%-10s %10s %10s %7s %8s\n"
                "%-10s %10.4f\n"
                "%-10s %10.4f %10.6f %7.4f %8s  against the reference\n"
                "%-10s %10.4f %10.6f %7.4f %8.4f  against the target\n",
                "", "perplexity", "KLD", "top-1", "overlap",  //
                "reference", scores.reference.perplexity(),   //
                "target", scores.target.perplexity(), scores.target.kld(), scores.target.top1(), "",
                "draft", scores.draft.perplexity(), scores.draft.kld(), scores.draft.top1(),
                scores.draft.overlap());
  Print(text);
}

int Run(const Options& options) {
  if (options.windows.any()) {
    if (options.prefix > 0 || options.tokens > 0) {
      throw UsageError("--prefix and --tokens: not with --protocol, which scores whole windows");
    }
    return RunWindows(options.model, options.windows, options.file);
  }
  if (options.windows.window > 0 || options.windows.windows > 0 || options.windows.scores.draft) {
    throw UsageError("--window, --windows and --readers: need --protocol or --kld-base");
  }
  if (options.model.session.draft.kind == DraftKind::kNgram) {
    throw UsageError(
        "--draft ngram: proposes tokens without probabilities, which cannot be scored");
  }
  if (options.file.empty()) throw UsageError("--file: missing, expected a text to score");
  if (options.prefix == 0 || options.tokens == 0) {
    throw UsageError(
        "--prefix and --tokens: missing, expected both, e.g. --prefix 4096 "
        "--tokens 512");
  }
  const auto start = std::chrono::steady_clock::now();
  ModelOptions model = options.model;
  const auto file = OpenModel(model.engine, model.quiet);
  const std::vector<Token> text = ReadTokens(options, *file);
  const std::span<const Token> prefix(text.data(), static_cast<size_t>(options.prefix));
  model.session.context = std::max(model.session.context, options.prefix + options.tokens);
  const ModelOptions reference = ReferenceOptions(model);
  const auto reference_file = OpenModel(reference.engine, /*quiet=*/true);
  CheckBothFit(file->Plan(model.session, model.capacity),
               reference_file->Plan(reference.session, reference.capacity));

  const Side reference_side = OpenSide(reference_file, reference, prefix);
  const Side side = OpenSide(file, model, prefix);
  const Scores scores =
      ScoreRows(text, options.prefix, *reference_side.session, *side.session, options.model.quiet);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  PrintScores(options, scores, *side.engine, seconds.count());
  return kExitDone;
}

}  // namespace

Command AddQuality(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("quality", "Score target and draft against a float reference on a text");
  AddText(*command, "--file", options->file, "the text, '-' for standard input")->type_name("F");
  AddInteger(*command, "--prefix", options->prefix, 1, kMaxContext, "tokens read before scoring");
  AddInteger(*command, "--tokens", options->tokens, 1, kMaxContext, "tokens scored");
  AddWindowOptions(*command, options->windows);
  AddModelOptions(*command, options->model, JsonOption::kYes);
  command->footer(
      "The reference has float32 weights and a dense float32 cache. KLD is KL(base || row) in "
      "nats.\n\n"
      "Examples:\n"
      "  quantspec quality --model m.gguf --file book.txt --prefix 4096 --tokens 512\n"
      "  quantspec quality --model m.gguf --file book.txt --prefix 1024 --tokens 256 "
      "--weights nested --group 64 --json\n"
      "  quantspec quality --model m.gguf --file wiki.test.raw --protocol llama --windows 16");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
