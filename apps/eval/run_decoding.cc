#include "eval/run_decoding.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>

#include "cli/common.h"
#include "eval/outcome.h"
#include "eval/statistics.h"
#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr size_t kPaperTokens = 90;  // the length of the paper's outputs [quantspec 5.1]

double Now() {
  const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
  return now.count();
}

// From now on the peak of the resident set counts from what is resident now, where the system
// allows that.
void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// The times of one run over all turns, and what its first turn gave.
struct Series {
  Outcome first;
  uint64_t peak_rss_bytes = 0;
  std::vector<double> speeds, speeds_90, first_round_s, draft_s, verify_s, seal_s;

  void Add(const Outcome& outcome) {
    const std::vector<double>& moments = outcome.moments;
    speeds.push_back(SpeedAfterFirstRound(moments, moments.size()));
    speeds_90.push_back(SpeedAfterFirstRound(moments, kPaperTokens));
    first_round_s.push_back(moments.size() > 1 ? moments[1] - moments[0] : 0);
    draft_s.push_back(outcome.stats.draft_s);
    verify_s.push_back(outcome.stats.verify_s);
    seal_s.push_back(outcome.stats.seal_s);
  }
};

class DecodingCell {
 public:
  DecodingCell(const Cell& cell, const CellPrompt& prompt, Engines& engines,
               const OnShare& on_share)
      : cell_(cell),
        prompt_(prompt.tokens),
        prompt_answers_(prompt.answers),
        engines_(engines),
        on_share_(on_share) {
    for (const RunSpec& run : cell.runs) {
      const Target target = FindMethod(run.method).target;
      uses_own_ |= target == Target::kOwn;
      uses_paper_ |= target == Target::kPaper;
    }
    parts_ = static_cast<double>(cell.turns) * static_cast<double>(cell.runs.size()) +
             kPrefillParts * ((uses_own_ ? 1 : 0) + (uses_paper_ ? 1 : 0));
  }

  Json Run() {
    // The pool comes with the first session of the hierarchical cache.
    if (uses_own_) Read(Target::kOwn);
    if (uses_paper_) Read(Target::kPaper);
    series_.resize(cell_.runs.size());
    for (int turn = 0; turn < cell_.turns; ++turn) {
      const size_t runs = cell_.runs.size();
      const size_t first = FirstRun(cell_, turn);
      for (size_t i = 0; i < runs; ++i) RunOnce((first + i) % runs, turn);
      for (size_t i = 0; turn == 0 && i < runs; ++i) Check(i, series_[i].first);
    }
    Json runs = Json::array();
    for (size_t i = 0; i < series_.size(); ++i) runs.push_back(RunJson(i));
    Json result = {{"prompt_tokens", prompt_.size()},
                   {"machine", MachineJson(engines_.Of(cell_, AnyTarget()))},
                   {"prefill", prefill_},
                   {"runs", runs}};
    if (!prompt_answers_.empty()) {
      const Tokenizer& tokenizer = engines_.Of(cell_, AnyTarget()).file().tokenizer();
      result["answers"] = prompt_answers_;
      result["score"] = ScoreOutput(PlainOutcome(AnyTarget()).tokens, tokenizer, prompt_answers_);
    }
    return result;
  }

 private:
  // The own target if any run has it.
  Target AnyTarget() const { return uses_own_ ? Target::kOwn : Target::kPaper; }

  static constexpr double kPrefillParts = 4;  // of the progress: as long as so many runs

  void Advance(double parts) {
    done_ += parts;
    if (!on_share_(done_ / parts_)) throw cli::Cancelled();
  }

  std::unique_ptr<Session>& BaseOf(Target target) { return target == Target::kOwn ? own_ : paper_; }

  void Read(Target target) {
    const Engine& engine = engines_.Of(cell_, target);
    Method observed;
    observed.target = target;
    // Only such a session keeps what SnapKV and Pillar want to know about the prompt.
    observed.draft.kind = DraftKind::kSnapKv;
    std::unique_ptr<Session>& session = BaseOf(target);
    session = engine.Open(SessionOf(cell_, engine.file().info(), observed));
    const double start = Now(), done = done_;
    if (!session->Prefill(prompt_, [&](int tokens, int total) {
          return on_share_((done + kPrefillParts * tokens / total) / parts_);
        })) {
      throw cli::Cancelled();
    }
    const double seconds = Now() - start;
    done_ = done + kPrefillParts;
    prefill_.push_back({{"cache", target == Target::kOwn ? "hierarchical" : "full"},
                        {"seconds", seconds},
                        {"tokens_per_s", static_cast<double>(prompt_.size()) / seconds}});
  }

  void RunOnce(size_t index, int turn) {
    const RunSpec& run = cell_.runs[index];
    const Method& method = FindMethod(run.method);
    ForgetPeak();
    const std::unique_ptr<Session> session = BaseOf(method.target)->Fork(method.draft);
    Outcome outcome = method.kind == MethodKind::kDraftAlone ? DraftAlone(*session)
                                                             : Generate(*session, run.gamma, turn);
    Series& series = series_[index];
    series.Add(outcome);
    if (turn == 0) series.peak_rss_bytes = cli::PeakResidentBytes();
    if (turn == 0) {
      series.first = std::move(outcome);
    } else {
      Check(index, outcome);
    }
    Advance(1);
  }

  Outcome Generate(Session& session, int gamma, int turn) const {
    GenerateOptions options;
    options.max_tokens = cell_.tokens;
    options.gamma = gamma;
    options.ignore_end = true;
    options.sampling.temperature = cell_.temperature;
    options.sampling.seed = static_cast<uint64_t>(cell_.example);
    Outcome outcome;
    outcome.moments.reserve(static_cast<size_t>(cell_.tokens));
    bool stopped = false;
    GenerateResult result = session.Generate(options, [&](Token) {
      outcome.moments.push_back(Now());
      stopped = !on_share_(done_ / parts_);
      return !stopped;
    });
    if (stopped) throw cli::Cancelled();
    outcome.tokens = std::move(result.tokens);
    outcome.stats = result.stats;
    if (turn == 0) outcome.digest = session.CacheDigest();
    return outcome;
  }

  // Plain decoding as a program with 4-bit weights would do it: steps of the draft alone, which
  // reads both planes of the cache. Its rows are dropped before a seal would be due.
  Outcome DraftAlone(Session& session) const {
    const std::vector<Token>& tokens = PlainOutcome(Target::kOwn).tokens;
    const int start = session.length();
    Outcome outcome;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (session.step_room() == 0) session.Rewind(start);
      const std::span<const float> logits = session.Step(Reader::kDraft, {&tokens[i], 1});
      outcome.tokens.push_back(
          static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      outcome.moments.push_back(Now());
      if (!on_share_(done_ / parts_)) throw cli::Cancelled();
    }
    return outcome;
  }

  const Outcome& PlainOutcome(Target target) const {
    const char* name = target == Target::kOwn ? kPlainOwn : kPlainPaper;
    for (size_t i = 0; i < cell_.runs.size(); ++i) {
      if (cell_.runs[i].method == name) return series_[i].first;
    }
    throw Error(ErrorKind::kCorrupt, CellTitle(cell_) + ": has no run of " + name);
  }

  void Check(size_t index, const Outcome& outcome) const {
    const RunSpec& run = cell_.runs[index];
    const Method& method = FindMethod(run.method);
    if (method.kind == MethodKind::kDraftAlone) return;
    CheckIdentical(cell_, run, outcome, PlainOutcome(method.target));
  }

  Json RunJson(size_t index) const {
    const RunSpec& run = cell_.runs[index];
    const Method& method = FindMethod(run.method);
    const Series& series = series_[index];
    const GenerateStats& stats = series.first.stats;
    const auto counts = [&](const std::array<int64_t, kMaxGamma>& all) {
      return Json(std::vector<int64_t>(all.begin(), all.begin() + std::max(run.gamma, 0)));
    };
    const bool is_checked = method.kind != MethodKind::kDraftAlone;
    const ModelFile& file = engines_.Of(cell_, method.target).file();
    return {{"method", run.method},
            {"gamma", run.gamma},
            {"weights", method.target == Target::kPaper ? "bf16" : cell_.weights},
            {"cache", method.target == Target::kPaper ? "full" : "hierarchical"},
            {"draft_weights", method.draft_weights},
            {"draft_cache", method.draft_cache},
            {"generated", series.first.tokens.size()},
            {"rounds", stats.rounds},
            {"drafted", stats.drafted},
            {"accepted", stats.accepted},
            {"drafted_by_position", counts(stats.drafted_by_position)},
            {"reached_by_position", counts(stats.reached_by_position)},
            {"accepted_by_position", counts(stats.accepted_by_position)},
            {"rep4", is_checked ? Json(RepeatedFourGrams(series.first.tokens)) : Json()},
            {"digest", is_checked ? Json(series.first.digest) : Json()},
            {"identical", is_checked ? Json(true) : Json()},
            {"memory_bytes", cli::MemoryJson(MemoryOf(cell_, file, method))},
            {"peak_rss_bytes", series.peak_rss_bytes},
            {"tokens_per_s", series.speeds},
            {"tokens_per_s_90", series.speeds_90},
            {"first_round_s", series.first_round_s},
            {"draft_s", series.draft_s},
            {"verify_s", series.verify_s},
            {"seal_s", series.seal_s}};
  }

  const Cell& cell_;
  std::span<const Token> prompt_;
  std::span<const std::string> prompt_answers_;
  Engines& engines_;
  const OnShare& on_share_;
  bool uses_own_ = false, uses_paper_ = false;
  double parts_ = 1, done_ = 0;
  std::unique_ptr<Session> own_, paper_;
  Json prefill_ = Json::array();
  std::vector<Series> series_;
};

}  // namespace

Json RunDecoding(const Cell& cell, const CellPrompt& prompt, Engines& engines,
                 const OnShare& on_share) {
  return DecodingCell(cell, prompt, engines, on_share).Run();
}

}  // namespace quantspec::eval
