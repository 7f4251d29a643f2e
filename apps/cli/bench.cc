// quantspec bench: tokens a second over depth and gamma, and how near they come to this machine's
// memory bandwidth.
#include <algorithm>
#include <optional>

#include "bench/read_bandwidth.h"
#include "bench/scores.h"
#include "cli/answer.h"
#include "cli/bench_advice.h"
#include "cli/bench_ops.h"
#include "cli/bench_report.h"
#include "cli/bench_round.h"
#include "cli/bench_sequences.h"
#include "cli/common.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

struct Options {
  ModelOptions model;
  std::vector<int> depths = {0, 4096};
  std::vector<int> gammas = {kGammaAuto, 0, 2, 4};
  int tokens = 128;
  int repeat = 3;
  std::string file;
  float accept = -1;           // -1: not given
  std::vector<int> sequences;  // that decode together; empty: one session by itself
  bool ops = false;

  bool simulated() const { return accept >= 0; }
};

constexpr int kAdviceTurns = 2;

class Bench {
 public:
  Bench(const Options& options, std::shared_ptr<const Engine> engine, std::vector<Token> text)
      : options_(options), engine_(std::move(engine)), text_(std::move(text)) {
    setting_.weights = NameOf(WeightChoices(), options.model.engine.weights);
    setting_.cache = NameOf(CacheChoices(), options.model.session.cache);
    setting_.draft_exact_layers = engine_->file().draft_exact_layers();
    setting_.draft = options.model.session.draft;
    setting_.isa = engine_->isa();
    setting_.threads = engine_->threads();
    setting_.read_bandwidth_gb_per_s = MeasureReadBandwidth(engine_->threads());
    setting_.acceptance_is = options.simulated()    ? "simulated"
                             : options.file.empty() ? "meaningless"
                                                    : "measured";
  }

  void Run() {
    if (!options_.model.json) PrintBenchHead(setting_);
    for (const int depth : options_.depths) {
      const int shortened = Shorten(depth);
      SessionOptions session_options = options_.model.session;
      session_options.context = ContextAt(options_, ModelContext(), shortened);
      // What is measured is reading, not finding.
      session_options.reuse = PromptReuse::kNone;
      if (!options_.sequences.empty()) {
        for (const int sequences : options_.sequences) {
          RunTogetherAt(session_options, shortened, sequences);
        }
      } else if (options_.simulated()) {
        RunSimulated(*engine_->Open(session_options), shortened);
      } else {
        RunGenerate(session_options, shortened);
      }
    }
  }

  // The context that a run at `depth` needs.
  static int ContextAt(const Options& options, int model_context, int depth) {
    return std::max(options.model.session.context,
                    std::min(depth + Margin(options), model_context));
  }

 private:
  int ModelContext() const { return engine_->file().info().context; }
  // Tokens of room after the depth.
  static int Margin(const Options& options) {
    return options.simulated() ? 2 * (kMaxGamma + 1) : options.tokens + kMaxGamma + 1;
  }

  // The depth, or what the model's context leaves of it.
  int Shorten(int depth) const {
    const int least = options_.simulated() ? Margin(options_) : options_.tokens;
    const int limit = std::max(ModelContext() - least, 0);
    if (depth > limit && !options_.model.quiet) {
      Say("note: depth " + std::to_string(depth) + " is cut to " + std::to_string(limit) +
          ", so that the tokens to time fit into the model's context of " +
          std::to_string(ModelContext()));
    }
    return std::min(depth, limit);
  }

  // Of the text that fills the depth; depth 0 still needs a token to start from.
  size_t TokensFor(int depth) const {
    const auto tokens = static_cast<size_t>(std::max(depth, 1));
    if (tokens <= text_.size()) return tokens;
    throw Error(ErrorKind::kUsage, "--file: has " + std::to_string(text_.size()) +
                                       " tokens, expected at least " + std::to_string(tokens) +
                                       " to fill the depth; use a longer text");
  }

  double Fill(Session& session, int depth) const {
    session.Clear();
    const size_t tokens = TokensFor(depth);
    const auto start = std::chrono::steady_clock::now();
    if (!Prefill(session, {text_.data(), tokens}, options_.model.quiet)) throw Cancelled();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    return PerSecond(depth, seconds.count());
  }

  // Real generation. Every run has a session of its own, so all of them generate after the same
  // tokens and know nothing of earlier ones; gammas take turns, so that a slow moment of the
  // machine hits them alike.
  void RunGenerate(const SessionOptions& session_options, int depth) const {
    std::vector<BenchLine> lines;
    std::vector<GenerateStats> sums(options_.gammas.size());
    for (const int gamma : options_.gammas) {
      lines.emplace_back();
      lines.back().gamma = gamma;
      lines.back().depth = depth;
    }
    for (int repeat = 0; repeat < options_.repeat; ++repeat) {
      for (size_t i = 0; i < lines.size(); ++i) {
        const auto session = engine_->Open(session_options);
        const double prefill = Fill(*session, depth);
        GenerateOptions generate;
        generate.max_tokens = options_.tokens;
        generate.gamma = lines[i].gamma;
        generate.ignore_end = true;
        const GenerateStats stats =
            session->Generate(generate, [](Token) { return !Interrupted(); }).stats;
        if (Interrupted()) throw Cancelled();
        if (depth > 0) lines[i].prefill_tokens_per_s.push_back(prefill);
        lines[i].decode_tokens_per_s.push_back(PerSecond(stats.generated_tokens, stats.decode_s));
        Add(stats, &sums[i]);
        if (repeat + 1 == options_.repeat) Conclude(*session, sums[i], &lines[i]);
      }
    }
    for (const BenchLine& line : lines) Report(line);
    if (!options_.file.empty() && !options_.model.json && !options_.model.quiet && depth > 0) {
      PrintAdvice(session_options, lines, depth);
    }
  }

  // What pays at this depth; of the gammas that were timed, the fastest.
  void PrintAdvice(const SessionOptions& session_options, std::span<const BenchLine> lines,
                   int depth) const {
    int gamma = 0;
    double most = 0;
    for (const BenchLine& line : lines) {
      const double rate = Median(line.decode_tokens_per_s);
      if (line.gamma == 0 || rate <= most) continue;
      most = rate;
      gamma = line.gamma;
    }
    std::vector<Candidate> candidates = MakeCandidates(session_options.draft, gamma, depth);
    TimeCandidates(*engine_, session_options,
                   std::span<const Token>(text_).first(static_cast<size_t>(depth)), options_.tokens,
                   std::min(options_.repeat, kAdviceTurns), &candidates);
    Print(Advise(candidates, depth) + "\n");
  }

  // Sequences with texts of their own, by a scheduler, and each of them alone.
  void RunTogetherAt(const SessionOptions& session, int depth, int sequences) const {
    const size_t length = TokensFor(depth);
    std::vector<std::vector<Token>> prompts;
    for (int i = 0; i < sequences; ++i) {
      // Offsets as far apart as the text allows.
      const size_t spare = text_.size() > length ? text_.size() - length : 0;
      const size_t first = spare * static_cast<size_t>(i) / static_cast<size_t>(sequences);
      const auto part = std::span<const Token>(text_).subspan(first, length);
      prompts.emplace_back(part.begin(), part.end());
    }
    for (const int gamma : options_.gammas) {
      TogetherOptions together{session, {}};
      together.generate.max_tokens = options_.tokens;
      together.generate.gamma = gamma;
      together.generate.ignore_end = true;
      const Together alone = RunAlone(*engine_, together, prompts);
      BenchLine line;
      line.depth = depth;
      line.gamma = gamma;
      line.sequences = sequences;
      line.identical = true;
      for (int repeat = 0; repeat < options_.repeat; ++repeat) {
        const Together run = RunTogether(engine_, together, prompts);
        line.identical &= AreIdentical(run, alone);
        line.total_tokens_per_s.push_back(run.total_tokens_per_s);
        line.decode_tokens_per_s.push_back(run.total_tokens_per_s / sequences);
        if (depth > 0) line.prefill_tokens_per_s.push_back(run.prefill_tokens_per_s);
        if (run.acceptance >= 0) line.acceptance = run.acceptance;
      }
      Report(line);
    }
  }

  static void Add(const GenerateStats& stats, GenerateStats* sum) {
    sum->generated_tokens += stats.generated_tokens;
    sum->rounds += stats.rounds;
    sum->drafted += stats.drafted;
    sum->accepted += stats.accepted;
    sum->looked_up += stats.looked_up;
    sum->draft_s += stats.draft_s;
    sum->verify_s += stats.verify_s;
  }

  static void Conclude(const Session& session, const GenerateStats& sum, BenchLine* line) {
    const auto drafted = static_cast<double>(sum.drafted);
    const auto stepped = static_cast<double>(sum.drafted - sum.looked_up);
    const auto rounds = static_cast<double>(sum.rounds);
    if (sum.drafted > 0) {
      line->acceptance = static_cast<double>(sum.accepted) / drafted;
    }
    if (stepped > 0) line->draft_ms = sum.draft_s / stepped * 1e3;
    if (sum.rounds > 0) {
      line->mean_gamma = drafted / rounds;
      line->verify_ms = sum.verify_s / rounds * 1e3;
    }
    line->bytes_per_token = (stepped * static_cast<double>(session.BytesPerToken(Reader::kDraft)) +
                             rounds * static_cast<double>(session.BytesPerToken(Reader::kTarget))) /
                            std::max(sum.generated_tokens, 1);
  }

  // Times rounds at this very depth and counts the tokens that the assumed acceptance would give.
  void RunSimulated(Session& session, int depth) const {
    const double prefill = Fill(session, depth);
    // A round may not cross a seal boundary: step over one that is too near.
    while (session.step_room() <= kMaxGamma) {
      const std::vector<Token> tokens(static_cast<size_t>(session.step_room()), text_[0]);
      session.Step(Reader::kTarget, tokens);
      session.Rewind(session.length());
    }
    for (const int asked : options_.gammas) {
      const int gamma =
          asked == kGammaAuto ? BestGamma(session, options_.accept, kMaxGamma) : asked;
      const double tokens = TokensPerRound(options_.accept, gamma);
      const int rounds = static_cast<int>(options_.tokens / tokens) + 1;
      BenchLine line;
      line.depth = session.length();
      line.gamma = asked;
      line.mean_gamma = gamma;
      if (depth > 0) line.prefill_tokens_per_s.push_back(prefill);
      if (gamma > 0) line.acceptance = (tokens - 1) / gamma;
      std::vector<double> draft_ms, verify_ms;
      for (int repeat = 0; repeat < options_.repeat; ++repeat) {
        const RoundTime time = TimeRounds(session, gamma, rounds);
        if (Interrupted()) throw Cancelled();
        line.decode_tokens_per_s.push_back(time.TokensPerSecond(options_.accept));
        draft_ms.push_back(gamma > 0 ? time.draft_s / gamma * 1e3 : 0);
        verify_ms.push_back(time.verify_s * 1e3);
      }
      if (gamma > 0) line.draft_ms = Median(draft_ms);
      line.verify_ms = Median(verify_ms);
      line.bytes_per_token = (gamma * static_cast<double>(session.BytesPerToken(Reader::kDraft)) +
                              static_cast<double>(session.BytesPerToken(Reader::kTarget))) /
                             tokens;
      Report(line);
    }
  }

  void Report(const BenchLine& line) const {
    if (options_.model.json) {
      PrintBenchJson(setting_, line);
    } else {
      PrintBenchRow(setting_, line);
    }
  }

  const Options& options_;
  std::shared_ptr<const Engine> engine_;
  std::vector<Token> text_;
  BenchSetting setting_;
};

// Tokens to fill any depth with: the text's, or arbitrary ones.
std::vector<Token> FillTokens(const Options& options, const ModelFile& file) {
  if (!options.file.empty()) {
    return EncodeRaw(file.tokenizer(), ReadDocuments({&options.file, 1}, true).front().text);
  }
  const int most = *std::max_element(options.depths.begin(), options.depths.end());
  const int texts = options.sequences.empty() ? 1 : 2;
  std::vector<Token> tokens(static_cast<size_t>(std::max(most, 1)) * static_cast<size_t>(texts));
  uint32_t state = 1;
  for (Token& token : tokens) {
    state = state * 1664525 + 1013904223;  // [knuth1997, 3.3.4]: any spread of ids will do
    token = static_cast<Token>((state >> 8) % static_cast<uint32_t>(file.info().vocab));
  }
  return tokens;
}

// Room for the deepest run. Throws Error{kMemory} if that is not there.
EngineCapacity CapacityOf(const Options& options, const ModelFile& file) {
  EngineCapacity capacity = options.model.capacity;
  for (const int sequences : options.sequences) {
    capacity.sequences = std::max(capacity.sequences, sequences);
  }
  if (options.ops) return capacity;
  SessionOptions session = options.model.session;
  const int deepest = *std::max_element(options.depths.begin(), options.depths.end());
  session.context = Bench::ContextAt(options, file.info().context, deepest);
  if (capacity.cache_tokens == 0) {
    const int64_t tokens = int64_t{session.context} * capacity.sequences;
    capacity.cache_tokens = static_cast<int>(std::min<int64_t>(tokens, kMaxCacheTokens));
  }
  CheckMemory(file, session, capacity);
  return capacity;
}

int Run(const Options& options) {
  const EngineOptions& engine_options = options.model.engine;
  if (!engine_options.model_path.empty() && !engine_options.random_shape.empty()) {
    throw UsageError("--model and --shape: found both, expected one of them");
  }
  if (options.simulated() && !options.sequences.empty()) {
    throw UsageError("--accept and --sequences: found both, expected one of them");
  }
  if (options.simulated() && options.model.session.draft.kind == DraftKind::kNgram) {
    throw UsageError(
        "--accept and --draft ngram: found both, but without a model there is no "
        "draft step to time; use --file");
  }
  if (!engine_options.random_shape.empty() && !options.file.empty()) {
    throw UsageError("--file: random weights have no tokenizer; use --accept P with --shape");
  }
  const auto file = OpenModel(engine_options, options.model.quiet);
  std::vector<Token> text = FillTokens(options, *file);
  const auto engine = LoadEngine(file, CapacityOf(options, *file), options.model.quiet);
  if (options.ops) {
    BenchOps(*engine, options.model, options.depths, options.repeat);
    return kExitDone;
  }
  if (!options.simulated() && options.file.empty() && !options.model.quiet) {
    Say("note: without --file the depth is filled with arbitrary tokens, whose acceptance means "
        "nothing; --accept P assumes one");
  }
  Bench(options, engine, std::move(text)).Run();
  return kExitDone;
}

template <typename Parse>
void AddList(CLI::App& app, const std::string& name, const std::string& type,
             std::vector<int>& values, Parse parse, const std::string& help) {
  AddValue(
      app, name, type,
      [name, parse, &values](const std::string& text) {
        values.clear();
        for (const std::string& part : SplitList(name, text)) values.push_back(parse(name, part));
      },
      help);
}

}  // namespace

Command AddBench(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("bench", "Time decoding over depth and gamma");
  AddText(*command, "--shape", options->model.engine.random_shape,
          "instead of --model: random weights of llama-3.2-1b, llama-2-7b, smollm2-135m or "
          "qwen2.5-1.5b")
      ->type_name("NAME");
  AddList(
      *command, "--depth", "N,N,...", options->depths,
      [](const std::string& name, const std::string& text) {
        return static_cast<int>(ParseInteger(name, text, 0, kMaxContext));
      },
      "tokens in the cache (default: 0,4096)");
  AddInteger(*command, "--tokens", options->tokens, 1, kMaxContext,
             "tokens generated in each run (default: 128)");
  AddList(*command, "--gamma", "G,G,...", options->gammas, ParseGamma,
          "auto or 0 to 16 each (default: auto,0,2,4)");
  AddInteger(*command, "--repeat", options->repeat, 1, 1000, "runs of each kind (default: 3)");
  AddText(*command, "--file", options->file, "a text to fill the depth with")->type_name("F");
  AddNumber(*command, "--accept", options->accept, 0, 1,
            "assume that each drafted token is accepted with this probability, and time rounds "
            "at the exact depth");
  AddList(
      *command, "--sequences", "N,N,...", options->sequences,
      [](const std::string& name, const std::string& text) {
        return static_cast<int>(ParseInteger(name, text, 1, kMaxSequences));
      },
      "so many sequences decode together, each with a text of its own");
  command->add_flag("--ops", options->ops, "time each operation at the model's shapes instead");
  AddModelOptions(*command, options->model, JsonOption::kYes);
  command->footer(
      "With --json every line of the table is one JSON object.\n\n"
      "Examples:\n"
      "  quantspec bench --model m.gguf --file book.txt --depth 0,4096,8192 --gamma auto,0,4\n"
      "  quantspec bench --shape llama-3.2-1b --depth 4096 --accept 0.9 --tokens 32\n"
      "  quantspec bench --model m.gguf --file book.txt --depth 1000 --sequences 1,8 --gamma 0\n"
      "  quantspec bench --model m.gguf --ops --depth 8192 --json");
  return {command, [options] { return Run(*options); }};
}

}  // namespace quantspec::cli
