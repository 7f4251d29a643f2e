#include "cli/bench_sequences.h"

#include <algorithm>
#include <chrono>

#include "cli/common.h"
#include "cli/interrupt.h"
#include "quantspec/scheduler.h"

namespace quantspec::cli {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One request and what came of it so far.
struct Reading {
  std::shared_ptr<Stream> stream;
  std::vector<Token> tokens;
  std::optional<StreamEvent> last;
};

// Takes the next event, waited for at most `timeout_s`; true if there was one.
bool TakeEvent(Reading& reading, double timeout_s) {
  if (reading.last) return false;
  std::optional<StreamEvent> event = reading.stream->Next(timeout_s);
  if (!event) return false;
  if (event->kind == StreamEvent::Kind::kToken) {
    reading.tokens.push_back(event->token);
  } else {
    reading.last = std::move(event);
  }
  return true;
}

size_t CountTokens(std::span<const Reading> readings) {
  size_t tokens = 0;
  for (const Reading& reading : readings) tokens += reading.tokens.size();
  return tokens;
}

// Reads all answers; returns the tokens a second from when all of them had begun until the first of
// them ended.
double ReadAll(std::span<Reading> readings) {
  std::optional<Clock::time_point> begin;
  size_t tokens_before = 0;
  double rate = 0;
  for (;;) {
    bool has_taken = false;
    for (Reading& reading : readings) {
      while (TakeEvent(reading, 0)) has_taken = true;
    }
    if (Interrupted()) throw Cancelled();
    const auto has_begun = [](const Reading& reading) { return !reading.tokens.empty(); };
    const auto has_ended = [](const Reading& reading) { return reading.last.has_value(); };
    if (!begin && std::ranges::all_of(readings, has_begun)) {
      begin = Clock::now();
      tokens_before = CountTokens(readings);
    }
    if (begin && rate == 0 && std::ranges::any_of(readings, has_ended)) {
      rate = static_cast<double>(CountTokens(readings) - tokens_before) / SecondsSince(*begin);
    }
    if (std::ranges::all_of(readings, has_ended)) {
      if (begin && rate > 0) return rate;
      throw Error(ErrorKind::kUsage,
                  "the sequences never decoded all together: raise --cache-tokens or --tokens");
    }
    // Waits without turning: the threads that compute need the cores.
    if (!has_taken) TakeEvent(*std::ranges::find_if_not(readings, has_ended), 0.001);
  }
}

}  // namespace

Together RunAlone(const Engine& engine, const TogetherOptions& options,
                  std::span<const std::vector<Token>> prompts) {
  Together all;
  for (const std::vector<Token>& prompt : prompts) {
    const auto session = engine.Open(options.session);
    if (!session->Prefill(prompt, [](int, int) { return !Interrupted(); })) throw Cancelled();
    all.tokens.push_back(
        session->Generate(options.generate, [](Token) { return !Interrupted(); }).tokens);
    if (Interrupted()) throw Cancelled();
    all.digests.push_back(session->CacheDigest());
  }
  return all;
}

Together RunTogether(const std::shared_ptr<const Engine>& engine, const TogetherOptions& options,
                     std::span<const std::vector<Token>> prompts) {
  SchedulerOptions scheduler_options;
  scheduler_options.session = options.session;
  scheduler_options.max_queue = static_cast<int>(prompts.size());
  const auto scheduler = Scheduler::Start(engine, scheduler_options);
  std::vector<Reading> readings(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    readings[i].stream = scheduler->Submit({prompts[i], options.generate, /*wants_digest=*/true});
  }
  Together all;
  all.total_tokens_per_s = ReadAll(readings);
  int64_t drafted = 0, accepted = 0;
  double prompt_tokens = 0, prefill_s = 0;
  for (const Reading& reading : readings) {
    const StreamEvent& last = *reading.last;
    if (last.kind == StreamEvent::Kind::kError) throw Error(last.error_kind, last.error);
    all.tokens.push_back(reading.tokens);
    all.digests.push_back(last.digest);
    drafted += last.result.stats.drafted;
    accepted += last.result.stats.accepted;
    prompt_tokens += last.result.stats.prompt_tokens;
    prefill_s = std::max(prefill_s, last.result.stats.prefill_s);
  }
  if (drafted > 0) all.acceptance = static_cast<double>(accepted) / static_cast<double>(drafted);
  if (prefill_s > 0) all.prefill_tokens_per_s = prompt_tokens / prefill_s;
  return all;
}

bool AreIdentical(const Together& a, const Together& b) {
  return a.tokens == b.tokens && a.digests == b.digests;
}

}  // namespace quantspec::cli
